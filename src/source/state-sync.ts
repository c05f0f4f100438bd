/**
 * A state-sync snapshot as a source: a SwingStore, with the byte code of contracts amid its artifacts. The byte code is
 * delivered as the state of the module `wasm`, as if it came from a snapshot.
 */
import type { FoundStateSync } from '../formats/state-sync/layout.ts';
import {
  openStateSync,
  type OpenStateSyncOptions,
  type StateSyncExport,
} from '../formats/state-sync/open.ts';
import { MAX_CODE_BYTES, type ByteCode } from '../formats/state-sync/payload/code-payload.ts';
import { noProgress, type Progress } from '../io/progress.ts';
import {
  takeExport,
  type DescribedStore,
  type StoreDestination,
} from '../modules/swingset/destinations.ts';
import { swingsetModule } from '../modules/swingset/module.ts';
import { WASM, wasmEntryName, wasmIdentity } from '../modules/wasm/layout.ts';
import type {
  ChunkedWritable,
  InstalledState,
  StateChunk,
  StateModule,
} from '../snapshot/module-contract.ts';
import type { Delivered, DeliverOptions, NamedState, Source } from './source.ts';
import { StagedCodes } from './staged-codes.ts';
import { noSizes, refuseNoChunks, SWINGSET_STATE } from './swing-store.ts';

const BYTE_CODE: NamedState = { name: WASM, kind: WASM };

type StateSyncSourceOptions = Omit<OpenStateSyncOptions, 'onCode' | 'onCodesEnd'>;

/** Opens what `findStateSync` found. Reads nothing until states are requested. */
export function stateSyncSource(found: FoundStateSync, options: StateSyncSourceOptions): Source {
  return new StateSyncSource(found, options);
}

class StateSyncSource implements Source {
  readonly form = 'state-sync snapshot';
  readonly path: string;
  readonly height: number;
  readonly swingset: StateSyncExport;
  readonly mayHold = [{ ...BYTE_CODE, isGuess: true }];
  readonly contentHash = undefined;
  readonly artifactSizes = noSizes;
  readonly #staged: StagedCodes;
  /** Takes each byte code as it arrives. */
  #take: ((code: ByteCode) => Promise<void>) | undefined;

  constructor(found: FoundStateSync, options: StateSyncSourceOptions) {
    this.path = found.path;
    this.height = found.height;
    this.#staged = new StagedCodes(options.scratchDir);
    this.swingset = openStateSync(found, {
      ...options,
      onCode: async (code) => this.#take?.(code),
      onCodesEnd: this.#staged.end,
    });
  }

  get proof(): Source['proof'] {
    return this.swingset.proof;
  }

  get codes(): Source['codes'] {
    return this.swingset.codes;
  }

  async others(progress: Progress): Promise<readonly NamedState[]> {
    const { hasCodes } = await this.swingset.readStores(progress);
    return hasCodes ? [BYTE_CODE] : [];
  }

  async readers(progress: Progress): Promise<readonly StateModule[]> {
    const swingset = swingsetModule({ source: this.swingset });
    const others = await this.others(progress);
    if (others.length === 0) return [swingset];
    this.#take = this.#staged.take;
    return [swingset, this.#staged.module()];
  }

  left(): string | undefined {
    const { count } = this.codes ?? { count: 0 };
    if (count === 0 || this.#take !== undefined) return undefined;
    return `${count} byte codes were left out: an export directory has no place for them`;
  }

  /** Byte code is written while the artifacts of the SwingStore are copied. */
  async deliver<Installed extends InstalledState>(
    destination: StoreDestination<Installed>,
    [wasm]: readonly StateModule[],
    options: DeliverOptions,
  ): Promise<Delivered<Installed>> {
    const { scratchDir, pool, progress, signal } = options;
    const writable: ChunkedWritable | undefined = await wasm?.beginWriteState({
      height: this.height,
      scratchDir,
      pool,
      signal,
      chunkBytes: MAX_CODE_BYTES,
      progress: { ...noProgress, note: progress.note },
    });
    let taken = 0;
    this.#take = async (code) => {
      await writable?.writeChunk(chunkOf(code));
      taken += code.data.length;
      progress.beside?.(WASM, taken, taken);
    };
    let state: DescribedStore<Installed> | undefined;
    const abort = async (error: unknown): Promise<void> => {
      await writable?.abort(error);
      await state?.discard();
    };
    try {
      state = await takeExport(this.swingset, destination, options);
      const others =
        wasm === undefined || writable === undefined
          ? []
          : [{ module: wasm, state: await writable.done() }];
      return { swingset: { module: SWINGSET_STATE, state }, others, abort };
    } catch (error) {
      await abort(error);
      throw error;
    }
  }

  async hashChunks(): Promise<never> {
    return refuseNoChunks(this.form, this.path);
  }

  async close(): Promise<void> {
    await this.swingset.close();
    // From now on, no code is staged or read.
    this.#staged.close();
  }
}

function chunkOf({ checksum, data }: ByteCode): StateChunk {
  const name = wasmEntryName(WASM, checksum);
  const size = data.length;
  const artifact = { name: checksum, size, sha256: checksum, identity: wasmIdentity(checksum) };
  return { entries: [{ name, data, size, artifact }] };
}
