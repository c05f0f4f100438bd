/** Reads the files of chunks and their content. */
import { NotFoundError } from '../../errors.ts';
import type { ExpansionLimit } from '../../io/bytes/expansion-limit.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import { given, type Recipe } from '../../io/threads/recipe.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { unpacking, type UnpackedChunk } from '../chunk-file.ts';
import { refuseGone } from '../gone.ts';
import { chunkFile, damaged, MAX_CHUNK_FILE_BYTES } from '../layout.ts';
import { bytesOfEntries } from '../module-contract.ts';
import type { PlannedChunk } from './plan-chunks.ts';

/**
 * Reads a chunk and checks all of it.
 * @param limit counts the bytes that go in and come out
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, or as the codec and the storage
 */
export async function loadChunk(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  { chunk, entries }: PlannedChunk,
  pool: WorkerPool,
  limit: ExpansionLimit,
): Promise<UnpackedChunk> {
  const path = pathOfChunk(snapshot, chunk);
  const size = bytesOfEntries(entries);
  const unpacked = await recipeOfChunk(snapshot, chunk)
    .then(async (recipe) => {
      const file = { path, chunk, entries, recipe, codec: codec.name };
      return pool.run(unpacking, file, bytesIn(recipe.input), size);
    })
    .catch(missingChunk(snapshot, chunk));
  limit.taken += unpacked.fileBytes;
  limit.give(size);
  return unpacked;
}

/** How a thread gets the bytes of a chunk's file, unchecked. Throws as the storage. */
export async function recipeOfChunk(
  snapshot: StoredSnapshot,
  chunk: string,
): Promise<Recipe<Uint8Array>> {
  const file = chunkFile(chunk);
  return (
    snapshot.recipe?.(file, MAX_CHUNK_FILE_BYTES) ??
    given(await snapshot.read(file, MAX_CHUNK_FILE_BYTES))
  );
}

/** Names a chunk in errors. */
export function pathOfChunk(snapshot: StoredSnapshot, chunk: string): string {
  return `${snapshot.location}/${chunkFile(chunk)}`;
}

/** Handles a storage's error for a chunk: if the chunk does not exist, it is missing or the snapshot is gone. */
export function missingChunk(
  snapshot: StoredSnapshot,
  chunk: string,
): (cause: unknown) => Promise<never> {
  return async (cause) => {
    if (!(cause instanceof NotFoundError)) throw cause;
    await refuseGone(snapshot, cause);
    return damaged('a chunk is missing', {
      path: pathOfChunk(snapshot, chunk),
      cause,
    });
  };
}
