/**
 * The module `wasm`: byte code of CosmWasm contracts. Each is named after its checksum, so it proves itself, may come
 * in any order, and may be stored beside others of any height. Byte code from other sources than a directory, such as
 * the extension `wasm` of a state-sync snapshot, also becomes entries `wasm/code/<checksum>`.
 */
import {
  compareNames,
  ModuleHasher,
  noSuchSide,
  outOfTurn,
  refuseOtherState,
  type ChunkedWritable,
  type StateArtifact,
  type StateChunk,
  type StateContext,
  type StateModule,
  type WrittenState,
} from '../../snapshot/module-contract.ts';
import { ReceivedArtifacts, wrong, type ArtifactWriter } from '../kit/received-artifacts.ts';
import { chunksOf, GeneratedReadable } from '../kit/sent-artifacts.ts';
import type { ModuleKind, ModulePlace } from '../place.ts';
import { isChecksum, WASM, wasmEntryName, wasmIdentity } from './layout.ts';
import { byteCodes, checksumsIn } from './read.ts';
import {
  compareByteCodes,
  installByteCodes,
  verifyByteCodes,
  type ByteCodeTarget,
} from './write.ts';

export const wasmKind: ModuleKind = { kind: WASM, make: wasmModule };

export function wasmModule({ name, dir, purpose }: ModulePlace): StateModule {
  return {
    name,
    kind: WASM,
    anyOrder: true,
    installs: 'first',
    async beginReadState(context) {
      if (dir === undefined || purpose !== 'read') throw noSuchSide(name, 'read');
      const checksums = await checksumsIn(dir, context);
      const hasher = new ModuleHasher(WASM);
      const chunks = chunksOf(byteCodes(name, dir, checksums), hasher, context);
      return new GeneratedReadable(name, context, chunks, hasher);
    },
    async beginWriteState(context) {
      return new WasmWritable(name, context, await targetOf(name, dir, purpose));
    },
  };
}

async function targetOf(
  name: string,
  dir: string | undefined,
  purpose: ModulePlace['purpose'],
): Promise<ByteCodeTarget> {
  if (purpose === 'verify') return verifyByteCodes();
  if (dir === undefined || purpose === 'read') throw noSuchSide(name, 'written');
  return purpose === 'compare' ? compareByteCodes(dir) : installByteCodes(dir);
}

class WasmWritable implements ChunkedWritable {
  readonly #name: string;
  readonly #context: StateContext;
  readonly #target: ByteCodeTarget;
  readonly #received: ReceivedArtifacts;
  /** One for each code of the chain. They come in any order, and are hashed in sorted order. */
  readonly #artifacts: StateArtifact[] = [];
  readonly #checksums = new Set<string>();
  #isDone = false;

  constructor(name: string, context: StateContext, target: ByteCodeTarget) {
    this.#name = name;
    this.#context = context;
    this.#target = target;
    this.#received = new ReceivedArtifacts(name, {
      entryNameOf: ({ name: checksum, identity }) => {
        if (!isChecksum(checksum) || identity !== wasmIdentity(checksum)) {
          wrong('an artifact is not byte code', 'wasm: and a SHA-256', identity, checksum);
        }
        return wasmEntryName(name, checksum);
      },
      nameOfSplit: (entryName) => {
        const checksum = entryName.slice(wasmEntryName(name, '').length);
        if (isChecksum(checksum) && entryName === wasmEntryName(name, checksum)) return checksum;
        return wrong(
          'an entry does not belong to a byte code',
          wasmEntryName(name, '…'),
          entryName,
        );
      },
      begin: async (checksum) => this.#begin(checksum),
    });
  }

  async #begin(checksum: string): Promise<ArtifactWriter> {
    if (this.#checksums.has(checksum)) wrong('a byte code comes twice', 'once', 'twice', checksum);
    this.#checksums.add(checksum);
    const writer = await this.#target.begin(checksum);
    return {
      write: async (bytes) => writer.write(bytes),
      finish: async (artifact) => {
        await writer.finish();
        this.#artifacts.push(artifact);
      },
    };
  }

  async writeChunk(chunk: StateChunk): Promise<void> {
    if (this.#isDone) throw outOfTurn(this.#name, 'writeChunk');
    await this.#received.writeChunk(chunk);
  }

  async done(): Promise<WrittenState> {
    if (this.#isDone) throw outOfTurn(this.#name, 'done');
    this.#isDone = true;
    await this.#received.end();
    const hasher = new ModuleHasher(WASM);
    for (const artifact of this.#artifacts.sort((a, b) => compareNames(a.name, b.name))) {
      hasher.add(artifact);
    }
    const description = { height: this.#context.height, fields: { ...hasher.fields() } };
    refuseOtherState(this.#name, this.#context, description);
    await this.#target.done();
    return { description, install: async () => this.#target.install() };
  }

  async abort(error: unknown): Promise<void> {
    this.#received.fail(error);
    await this.#received.settled();
    await this.#target.abort();
  }
}
