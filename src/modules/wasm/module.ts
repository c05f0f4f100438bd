/**
 * The module `wasm`: byte code of CosmWasm contracts. Each is named after its checksum, so it proves itself, may come
 * in any order, and may be stored beside others of any height. Byte code from other sources than a directory, such as
 * the extension `wasm` of a state-sync snapshot, also becomes entries `wasm/code/<checksum>`.
 */
import {
  compareNames,
  ModuleHasher,
  noSuchSide,
  type StateArtifact,
  type StateModule,
} from '../../snapshot/module-contract.ts';
import { ArtifactsWritable, type ArtifactsTarget } from '../kit/artifacts-writable.ts';
import { wrong, type ArtifactWriter } from '../kit/received-artifacts.ts';
import { chunksOf, GeneratedReadable } from '../kit/sent-artifacts.ts';
import type { ModuleKind, ModulePlace } from '../place.ts';
import { isChecksum, WASM, wasmEntryName, wasmIdentity } from './layout.ts';
import { byteCodes, checksumsIn, sizeOfByteCodes } from './read.ts';
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
      context.progress.phase('byte code', { bytes: await sizeOfByteCodes(dir, checksums) });
      const hasher = new ModuleHasher(WASM);
      const chunks = chunksOf(byteCodes(name, dir, checksums), hasher, context);
      return new GeneratedReadable(name, context, chunks, hasher);
    },
    async beginWriteState(context) {
      const place = await placeOf(name, dir, purpose);
      return new ArtifactsWritable(name, context, new ReceivedByteCodes(name, place));
    },
  };
}

async function placeOf(
  name: string,
  dir: string | undefined,
  purpose: ModulePlace['purpose'],
): Promise<ByteCodeTarget> {
  if (purpose === 'verify') return verifyByteCodes();
  if (dir === undefined || purpose === 'read') throw noSuchSide(name, 'written');
  return purpose === 'compare' ? compareByteCodes(dir) : installByteCodes(dir);
}

/** Receives byte codes in any order. */
class ReceivedByteCodes implements ArtifactsTarget {
  readonly #module: string;
  readonly place: ByteCodeTarget;
  /** One for each code of the chain, to be hashed in sorted order. */
  readonly #artifacts: StateArtifact[] = [];
  readonly #checksums = new Set<string>();

  constructor(module: string, place: ByteCodeTarget) {
    this.#module = module;
    this.place = place;
  }

  entryNameOf({ name: checksum, identity }: Pick<StateArtifact, 'name' | 'identity'>): string {
    if (!isChecksum(checksum) || identity !== wasmIdentity(checksum)) {
      wrong('an artifact is not byte code', 'wasm: and a SHA-256', identity, checksum);
    }
    return wasmEntryName(this.#module, checksum);
  }

  nameOfSplit(entryName: string): string {
    const checksum = entryName.slice(wasmEntryName(this.#module, '').length);
    const expected = wasmEntryName(this.#module, isChecksum(checksum) ? checksum : '…');
    if (entryName === expected) return checksum;
    return wrong('an entry does not belong to a byte code', expected, entryName);
  }

  async begin(checksum: string): Promise<ArtifactWriter> {
    if (this.#checksums.has(checksum)) wrong('a byte code comes twice', 'once', 'twice', checksum);
    this.#checksums.add(checksum);
    const writer = await this.place.begin(checksum);
    return {
      write: async (bytes) => writer.write(bytes),
      finish: async (artifact) => {
        await writer.finish();
        this.#artifacts.push(artifact);
      },
    };
  }

  async end(): Promise<ModuleHasher> {
    const hasher = new ModuleHasher(WASM);
    for (const artifact of this.#artifacts.sort((a, b) => compareNames(a.name, b.name))) {
      hasher.add(artifact);
    }
    return hasher;
  }
}
