/** Packs entries into the file of a chunk, in any thread. */
import { createHash } from 'node:crypto';
import { sha256Hex } from '../../io/bytes/digest.ts';
import { joined } from '../../io/bytes/pieces.ts';
import { follow, type Recipe } from '../../io/threads/recipe.ts';
import { workerTask } from '../../io/threads/task.ts';
import { withWorkspace } from '../../io/threads/workspace.ts';
import type { ZstdCodecName } from '../../io/zstd/codec.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import type { StagedFile } from '../../storage/contract.ts';
import type {
  ArtifactDigest,
  CheckedContent,
  Contents,
} from '../../swing-store-export/swing-store-export.ts';
import { windowLogFor } from '../chunk-file.ts';
import { MAX_SHARED_CHUNK_BYTES } from '../layout.ts';
import type { EntryDigest, NameByHash } from '../module-contract.ts';
import {
  maxTarBytes,
  packTar,
  tarBytes,
  tarPieces,
  type NameAndSize,
  type TarEntry,
} from '../tar.ts';

/** An entry to be packed. */
export interface RawEntry {
  readonly name: string | NameByHash;
  readonly data: Uint8Array;
  /** Of `data`, if known. */
  readonly sha256?: string | undefined;
}

/** A chunk's file; `chunk` is the SHA-256 of its bytes. */
export interface PackedChunk {
  readonly chunk: string;
  readonly bytes: Uint8Array;
  readonly entries: readonly EntryDigest[];
}

/** Packs entries into a chunk. */
export async function packChunk({
  entries,
  codec,
  level,
}: {
  readonly entries: readonly RawEntry[];
  readonly codec: ZstdCodecName;
  readonly level: number;
}): Promise<PackedChunk> {
  const digests = entries.map(digestOf);
  const zstd = await loadZstdCodec(codec);
  const bytes = await withWorkspace(maxTarBytes(digests), async (space) => {
    const named = entries.map(({ data }, at) => ({ name: digests[at]?.name ?? '', data }));
    return zstd.compress(await packTar(named, space), level);
  });
  return { chunk: sha256Hex(bytes), bytes, entries: digests };
}

function digestOf({ name, data, sha256 = sha256Hex(data) }: RawEntry): EntryDigest {
  const spelled = typeof name === 'string' ? name : name.before + sha256 + name.after;
  return { name: spelled, size: data.length, sha256 };
}

export const packing = workerTask(import.meta.url, packChunk);

/** Names and hashes an entry without packing it. */
export function digestEntry(entry: RawEntry): EntryDigest & { readonly data: Uint8Array } {
  return { ...digestOf(entry), data: entry.data };
}

export const digesting = workerTask(import.meta.url, digestEntry);

/** Artifacts for one chunk, to be read by the thread that packs them. */
export interface SharedChunk {
  /** Give the contents of the artifacts, one after the other. */
  readonly contents: readonly Recipe<Contents<CheckedContent>>[];
  /** Names of their entries. */
  readonly names: readonly string[];
  /** Bytes of their tar, if known. */
  readonly size: number | undefined;
  readonly codec: ZstdCodecName;
  readonly level: number;
  /** Gives the chunk's file; if undefined, its bytes are given back. */
  readonly writer: Recipe<StagedFile> | undefined;
}

/** A chunk's file that was written, or its bytes. */
export interface PackedShared {
  readonly chunk: string;
  /** Of the file, in bytes. */
  readonly size: number;
  readonly bytes: Uint8Array | undefined;
  /** log2 of the window that a reader needs. */
  readonly windowLog: number;
  /** In the order of the names; undefined for one that is not in the chunk, since it is too large. */
  readonly digests: readonly (ArtifactDigest | undefined)[];
}

/** Bytes of entries that are read before a window is chosen for entries of unknown size. */
const AHEAD_BYTES = 48 * 1024 * 1024;

/** Entries, of which the first may be read before the others are asked for. */
class EntriesAhead implements AsyncIterable<TarEntry> {
  readonly #entries: AsyncGenerator<TarEntry>;
  readonly #ahead: TarEntry[] = [];

  constructor(entries: AsyncGenerator<TarEntry>) {
    this.#entries = entries;
  }

  /** Reads ahead. @returns a lower bound of the bytes of the tar: all of them, if there are few */
  async readAhead(): Promise<number> {
    const sizes: NameAndSize[] = [];
    for (let bytes = 0; bytes < AHEAD_BYTES;) {
      const next = await this.#entries.next();
      if (next.done === true) break;
      const { name, data } = next.value;
      this.#ahead.push(next.value);
      sizes.push({ name, size: data.length });
      bytes += data.length;
    }
    return tarBytes(sizes);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TarEntry> {
    for (let next = this.#ahead.shift(); next !== undefined; next = this.#ahead.shift()) yield next;
    yield* this.#entries;
  }
}

/** Reads artifacts and packs them into one chunk. Has one of them in memory, and the window. */
export async function packShared(shared: SharedChunk): Promise<PackedShared> {
  const { contents, names, codec, level } = shared;
  const zstd = await loadZstdCodec(codec);
  const digests: (ArtifactDigest | undefined)[] = [];
  let left = MAX_SHARED_CHUNK_BYTES;
  async function* entries(): AsyncGenerator<TarEntry> {
    for (const recipe of contents) {
      for await (const content of await follow(recipe)) {
        const name = names[digests.length] ?? '';
        const isIn = content !== undefined && content.bytes.length <= left;
        digests.push(isIn ? { size: content.bytes.length, sha256: content.sha256 } : undefined);
        if (!isIn) continue;
        left -= content.bytes.length;
        yield { name, data: content.bytes };
      }
    }
  }
  const tarEntries = new EntriesAhead(entries());
  const windowLog = windowLogFor(shared.size ?? (await tarEntries.readAhead()));
  const hash = createHash('sha256');
  const packed = zstd.packPieces?.(tarPieces(tarEntries), { level, windowLog });
  if (packed === undefined) throw new Error(`${codec} packs no shared chunks`);
  const kept: Uint8Array[] = [];
  let size = 0;
  const file = shared.writer && (await follow(shared.writer));
  try {
    for await (const piece of packed) {
      hash.update(piece);
      size += piece.length;
      if (file === undefined) kept.push(piece.slice());
      else await file.write(piece);
    }
  } finally {
    await file?.close();
  }
  const bytes = file === undefined ? joined(kept) : undefined;
  return { chunk: hash.digest('hex'), size, bytes, windowLog, digests };
}

export const packingShared = workerTask(import.meta.url, packShared);
