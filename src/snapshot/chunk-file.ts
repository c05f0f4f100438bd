/** Reads the file of a chunk, in any thread. */
import { createHash, type Hash } from 'node:crypto';
import { NotFoundError, VerificationError } from '../errors.ts';
import { sha256Hex } from '../io/bytes/digest.ts';
import { joined } from '../io/bytes/pieces.ts';
import { follow, recipeFor, type Recipe } from '../io/threads/recipe.ts';
import { workerTask } from '../io/threads/task.ts';
import {
  LARGE_WINDOW_LOG,
  needsLargeWindows,
  WINDOW_LOG,
  type ZstdCodec,
  type ZstdCodecName,
} from '../io/zstd/codec.ts';
import { loadZstdCodec } from '../io/zstd/load-codec.ts';
import type { Pieces } from '../storage/contract.ts';
import type { CheckedContent, Contents } from '../swing-store-export/swing-store-export.ts';
import { refuseGone } from './gone.ts';
import { damaged, refuseUnreadable } from './layout.ts';
import type { EntryDigest } from './module-contract.ts';
import { contentsOfTar, maxTarBytes, tarBytes } from './tar.ts';

/** log2 of the window of a chunk: as large as its tar, within limits. A reader accepts no larger one. */
export function windowLogFor(rawBytes: number): number {
  const least = Math.ceil(Math.log2(Math.max(1, rawBytes)));
  return Math.min(LARGE_WINDOW_LOG, Math.max(WINDOW_LOG, least));
}

/** A chunk's file and its expected content; hostile. */
export interface ChunkFile {
  /** Names it in errors. */
  readonly path: string;
  /** Its expected SHA-256. */
  readonly chunk: string;
  /** All that it holds, in order. */
  readonly entries: readonly EntryDigest[];
  /** Says of each entry whether its content is wanted. */
  readonly wanted: readonly boolean[];
  /** Gives its bytes. */
  readonly recipe: Recipe<Pieces>;
  readonly codec: ZstdCodecName;
  /** Whether its window may be larger than the smallest. */
  readonly isShared: boolean;
  /** The snapshot that it belongs to, and how to read its manifest if any thread can. */
  readonly snapshot: {
    readonly location: string;
    readonly manifest: Recipe<Pieces> | undefined;
  };
}

/** How a thread gets the wanted contents of a chunk, one after the other. */
export function recipeOfContents(file: ChunkFile): Recipe<Contents<CheckedContent>> {
  return recipeFor(readingContents, file);
}

/**
 * The wanted contents of a chunk. Reads and checks all of the chunk; what was given before the end may be wrong.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, or as the codec and the recipe
 */
export async function* contentsOfChunk(file: ChunkFile): AsyncGenerator<CheckedContent> {
  const { path, chunk, entries, wanted } = file;
  const codec = await loadZstdCodec(file.codec);
  const source = new HashedPieces(await follow(file.recipe).catch(missingFile(file)));
  let failure: { readonly cause: unknown } | undefined;
  try {
    const maxWindowLog = file.isShared ? windowLogFor(await tarBytes(entries)) : WINDOW_LOG;
    const limits = {
      maxWindowLog: Math.min(maxWindowLog, codec.maxWindowLog),
      maxRawBytes: maxTarBytes(entries),
    };
    const tar = codec.unpackPieces(source, limits);
    const wantedAt = entries.flatMap((entry, at) => (wanted[at] === true ? [entry] : []));
    let at = 0;
    for await (const bytes of contentsOfTar(tar, entries, (n) => wanted[n] === true, path)) {
      const entry = wantedAt[at];
      at += 1;
      const sha256 = sha256Hex(bytes);
      if (sha256 !== entry?.sha256) {
        damaged('an entry has the wrong hash', {
          path: `${path}: ${entry?.name ?? ''}`,
          expected: entry?.sha256,
          found: sha256,
        });
      }
      yield { bytes, sha256 };
    }
  } catch (cause) {
    if (isTooLargeFor(codec, cause))
      throw needsLargeWindows('read this chunk', codec, { path, cause });
    failure = { cause };
  } finally {
    if (failure === undefined) await source.close();
  }
  // A damaged file is reported as such, whatever its content looks like.
  const found = await source.digest().catch(missingFile(file));
  if (found !== chunk) damaged('a chunk has the wrong hash', { path, expected: chunk, found });
  if (failure !== undefined) refuseUnreadable(failure.cause, 'a chunk', path);
}

export const readingContents = workerTask(import.meta.url, contentsOfChunk);

/** Pieces that are hashed on their way. A consumer that ends early leaves the rest. */
class HashedPieces implements AsyncIterable<Uint8Array> {
  readonly #pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #hash: Hash = createHash('sha256');
  #failure: { readonly error: unknown } | undefined;

  constructor(pieces: Pieces) {
    this.#pieces =
      Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        const next = await this.#next();
        if (next.done !== true) this.#hash.update(next.value);
        return next;
      },
    };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      return await this.#pieces.next();
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  /** The SHA-256 of all pieces, in hex. Throws the error of reading them, if there was one. */
  async digest(): Promise<string> {
    for await (const _ of this);
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#hash.digest('hex');
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}

/** Handles an error of reading the file: if it does not exist, it is missing, or the snapshot is gone. */
function missingFile({ path, snapshot }: ChunkFile): (cause: unknown) => Promise<never> {
  return async (cause) => {
    if (!(cause instanceof NotFoundError)) throw cause;
    const { location, manifest } = snapshot;
    if (manifest !== undefined) {
      const read = async (): Promise<Uint8Array> => {
        const pieces: Uint8Array[] = [];
        for await (const piece of await follow(manifest)) pieces.push(piece);
        return joined(pieces);
      };
      await refuseGone({ location, read }, cause);
    }
    return damaged('a chunk is missing', { path, cause });
  };
}

/** Whether only this codec cannot read the chunk. */
function isTooLargeFor({ maxWindowLog }: ZstdCodec, cause: unknown): boolean {
  const isWindow = cause instanceof VerificationError && cause.code === 'ZSTD_WINDOW';
  return isWindow && maxWindowLog < LARGE_WINDOW_LOG;
}

/** All contents of a recipe, each in a buffer of its own. */
export async function gatherContents(
  recipe: Recipe<Contents<CheckedContent>>,
): Promise<readonly Uint8Array[]> {
  const contents: Uint8Array[] = [];
  for await (const content of await follow(recipe)) {
    if (content !== undefined) contents.push(content.bytes);
  }
  return contents;
}

export const gathering = workerTask(import.meta.url, gatherContents);

/** Size in bytes and SHA-256 of a chunk's file. */
export async function digestChunkFile(
  recipe: Recipe<Pieces>,
): Promise<{ readonly size: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of await follow(recipe)) {
    hash.update(piece);
    size += piece.length;
  }
  return { size, sha256: hash.digest('hex') };
}

export const digestingFile = workerTask(import.meta.url, digestChunkFile);

/** Reads all contents of a recipe, which checks them, and keeps nothing. */
export async function checkContents(recipe: Recipe<Contents<CheckedContent>>): Promise<void> {
  for await (const _ of await follow(recipe));
}

export const checkingContents = workerTask(import.meta.url, checkContents);
