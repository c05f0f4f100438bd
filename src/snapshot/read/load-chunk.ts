/** Reads the files of chunks and their content. */
import { NotFoundError } from '../../errors.ts';
import type { ExpansionLimit } from '../../io/bytes/expansion-limit.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { unpacking } from '../chunk-file.ts';
import { refuseGone } from '../gone.ts';
import { chunkFile, damaged, MAX_CHUNK_FILE_BYTES } from '../layout.ts';
import { bytesOfEntries } from '../module-contract.ts';
import type { PlannedChunk } from './plan-chunks.ts';

/**
 * Reads a chunk and checks all of it.
 * @param limit counts the bytes that go in and come out
 * @returns the contents of its entries, and the size of its file in bytes
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, or as the codec and the storage
 */
export async function loadChunk(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  { chunk, entries }: PlannedChunk,
  pool: WorkerPool,
  limit: ExpansionLimit,
): Promise<{ contents: Uint8Array[]; fileBytes: number }> {
  const { path, bytes } = await readChunkFile(snapshot, chunk);
  const fileBytes = bytes.length;
  limit.taken += fileBytes;
  limit.give(bytesOfEntries(entries));
  const file = { path, chunk, entries, bytes, codec: codec.name };
  return { contents: await pool.run(unpacking, file, [bytes]), fileBytes };
}

/**
 * The bytes of a chunk's file, unchecked, and its path.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is missing, or as the storage
 */
export async function readChunkFile(
  snapshot: StoredSnapshot,
  chunk: string,
): Promise<{ path: string; bytes: Uint8Array }> {
  const path = `${snapshot.location}/${chunkFile(chunk)}`;
  const bytes = await snapshot
    .read(chunkFile(chunk), MAX_CHUNK_FILE_BYTES)
    .catch(missingChunk(snapshot, chunk));
  return { path, bytes };
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
      path: `${snapshot.location}/${chunkFile(chunk)}`,
      cause,
    });
  };
}
