/** Packs entries into the bytes of a chunk's file and unpacks them, as worker tasks. */
import { sha256Hex } from '../io/bytes/digest.ts';
import { follow, type Recipe } from '../io/threads/recipe.ts';
import { workerTask } from '../io/threads/task.ts';
import { withWorkspace } from '../io/threads/workspace.ts';
import type { ZstdCodec, ZstdCodecName } from '../io/zstd/codec.ts';
import { loadZstdCodec } from '../io/zstd/load-codec.ts';
import { damaged, refuseUnreadable } from './layout.ts';
import type { EntryDigest, NameByHash } from './module-contract.ts';
import { maxTarBytes, packTar, unpackTar } from './tar.ts';

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

/** A chunk's file and its expected content; hostile. */
export interface ChunkFile {
  /** Names it in errors. */
  readonly path: string;
  /** Its expected SHA-256. */
  readonly chunk: string;
  readonly entries: readonly EntryDigest[];
  /** Gives its bytes. */
  readonly recipe: Recipe<Uint8Array>;
  readonly codec: ZstdCodecName;
}

/** The contents of a chunk's entries. */
export interface UnpackedChunk {
  readonly contents: readonly Uint8Array[];
  /** Size of the chunk's file in bytes. */
  readonly fileBytes: number;
}

/**
 * Reads and unpacks a chunk, and checks all of it.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, or as the codec and the recipe
 */
export async function unpackChunk(file: ChunkFile): Promise<UnpackedChunk> {
  const { path, chunk, entries } = file;
  const bytes = await follow(file.recipe);
  const hash = sha256Hex(bytes);
  if (hash !== chunk) damaged('a chunk has the wrong hash', { path, expected: chunk, found: hash });
  const decoder = await loadZstdCodec(file.codec);
  return withWorkspace(maxTarBytes(entries), async (space) => {
    const tar = decompress(bytes, file, decoder, space);
    const contents = await unpackTar(tar, entries, path);
    entries.forEach(({ name, sha256 }, at) => {
      const found = sha256Hex(contents[at] ?? Buffer.alloc(0));
      if (found !== sha256) {
        damaged('an entry has the wrong hash', {
          path: `${path}: ${name}`,
          expected: sha256,
          found,
        });
      }
    });
    return {
      contents: contents.map((content) => new Uint8Array(content)),
      fileBytes: bytes.length,
    };
  });
}

export const unpacking = workerTask(import.meta.url, unpackChunk);

/** Size in bytes and SHA-256 of a chunk's file. */
export async function digestChunkFile(
  recipe: Recipe<Uint8Array>,
): Promise<{ readonly size: number; readonly sha256: string }> {
  const bytes = await follow(recipe);
  return { size: bytes.length, sha256: sha256Hex(bytes) };
}

export const digestingFile = workerTask(import.meta.url, digestChunkFile);

function decompress(
  bytes: Uint8Array,
  { path, entries }: ChunkFile,
  decoder: ZstdCodec,
  space: Uint8Array,
): Uint8Array {
  try {
    return decoder.decompress(bytes, maxTarBytes(entries), space);
  } catch (cause) {
    return refuseUnreadable(cause, 'a chunk', path);
  }
}
