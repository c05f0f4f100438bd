/**
 * The receiver's side of a source that is no snapshot: a SwingStore, and the byte code that comes in the middle of the
 * artifacts of a state-sync snapshot, which is the state of the module `wasm` as if it came from a snapshot.
 */
import { VerificationError } from '../../errors.ts';
import { MAX_CODE_BYTES, type ByteCode } from '../../formats/state-sync/payload/code-payload.ts';
import { noProgress, type Progress } from '../../io/progress.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import { describeExport } from '../../modules/swingset/description.ts';
import { SWINGSET } from '../../modules/swingset/layout.ts';
import type { ReceivedExport, ReceiveExport } from '../../modules/swingset/writable.ts';
import { WASM, wasmEntryName, wasmIdentity } from '../../modules/wasm/layout.ts';
import { contentHashOf } from '../../snapshot/content-hash.ts';
import type {
  ChunkedWritable,
  StateDescription,
  StateModule,
} from '../../snapshot/module-contract.ts';
import { installAll } from '../../snapshot/read/install.ts';
import {
  modulesToWrite,
  resultOf,
  type HeldModule,
  type ModuleResult,
  type NamedPlace,
} from '../places.ts';
import type { OpenedSource } from './open.ts';

/** Byte codes as they come, on their way to a module. */
export class IncomingCodes {
  #writable: ChunkedWritable | undefined;

  /** For `onCode` of the source. */
  readonly take = async ({ checksum, data }: ByteCode): Promise<void> => {
    const name = wasmEntryName(WASM, checksum);
    const size = data.length;
    const artifact = { name: checksum, size, sha256: checksum, identity: wasmIdentity(checksum) };
    await this.#writable?.writeChunk({ entries: [{ name, data, size, artifact }] });
  };

  /** Those that come from now on go there. */
  goTo(writable: ChunkedWritable): void {
    this.#writable = writable;
  }
}

export interface ReceiveSourceOptions {
  /** What the source was opened with. */
  readonly codes: IncomingCodes;
  readonly places: readonly NamedPlace[];
  readonly purpose: 'install' | 'compare' | 'verify';
  /** The content hash that the source must have, its modules included. */
  readonly expect: string | undefined;
  readonly scratchDir: string;
  readonly pool: WorkerPool;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

export interface ReceivedSource {
  /** Of the source with its modules; undefined if it has no others than `swingset`, or if not all of it was read. */
  readonly contentHash: string | undefined;
  /** In the order in which they were installed. */
  readonly modules: readonly ModuleResult[];
}

/**
 * Receives all of a source, and installs it when all of it is right: byte code first, the store last.
 * @param receive what becomes of the SwingStore
 * @throws {VerificationError} for whatever is wrong; nothing is left then
 * @throws {NotFoundError} `MODULE_MISSING` for a place whose module the source does not hold
 */
export async function receiveSource(
  source: OpenedSource,
  receive: ReceiveExport,
  options: ReceiveSourceOptions,
): Promise<ReceivedSource> {
  const { places, purpose, progress } = options;
  if (source.readStores !== undefined) progress.phase('stores');
  const stores = await source.readStores?.();
  const held: HeldModule[] = stores?.hasCodes === true ? [[WASM, { kind: WASM }]] : [];
  const { note } = progress;
  const [wasm] = modulesToWrite(held, places, { purpose, note });
  return wasm === undefined
    ? receiveAlone(source, receive, options)
    : receiveWith(wasm, source, receive, options);
}

async function receiveAlone(
  source: OpenedSource,
  receive: ReceiveExport,
  { expect, scratchDir, pool, progress, signal }: ReceiveSourceOptions,
): Promise<ReceivedSource> {
  const received = await receive(source, { expect, scratchDir, pool, progress, signal });
  try {
    const installed = await received.install();
    const modules = [resultOf({ name: SWINGSET, kind: SWINGSET, installed })];
    return { contentHash: undefined, modules };
  } catch (error) {
    await received.discard();
    throw error;
  }
}

async function receiveWith(
  wasm: StateModule,
  source: OpenedSource,
  receive: ReceiveExport,
  { codes, expect, scratchDir, pool, progress, signal }: ReceiveSourceOptions,
): Promise<ReceivedSource> {
  const { height } = source;
  const { note } = progress;
  const writable = await wasm.beginWriteState({
    ...{ height, scratchDir, pool, signal },
    chunkBytes: MAX_CODE_BYTES,
    progress: { ...noProgress, note },
  });
  codes.goTo(writable);
  let swingset: StateDescription | undefined;
  let received: ReceivedExport | undefined;
  try {
    received = await receive(source, {
      ...{ scratchDir, pool, progress, signal },
      digests: expect !== undefined,
      inspect: (index, summary) => {
        // Without it, artifacts beyond the mode were left unread.
        if (summary.hashes?.contentHash !== undefined) swingset = describeExport(summary, index);
      },
    });
    const written = await writable.done();
    const contentHash =
      swingset && contentHashOf(height, { [SWINGSET]: swingset, [WASM]: written.description });
    refuseOtherContent(source.location, expect, contentHash);
    signal?.throwIfAborted();
    const installed = await installAll([written, received]);
    const modules = [wasm, { name: SWINGSET, kind: SWINGSET }].flatMap(({ name, kind }, at) => {
      const state = installed[at];
      return state === undefined ? [] : [resultOf({ name, kind, installed: state })];
    });
    return { contentHash, modules };
  } catch (error) {
    await writable.abort(error);
    await received?.discard();
    throw error;
  }
}

function refuseOtherContent(
  path: string,
  expected: string | undefined,
  found: string | undefined,
): void {
  if (expected === undefined || expected === found) return;
  throw new VerificationError('HASH_MISMATCH', 'the source has another contentHash', {
    path,
    expected,
    found,
  });
}
