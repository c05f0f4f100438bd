/** Whether a snapshot's files are all there with the right hashes, without looking into the chunks. */
import { createHash } from 'node:crypto';
import { NotFoundError } from '../../errors.ts';
import { noProgress, type Progress } from '../../io/progress.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { readEntries } from './entries.ts';
import { chunkFile, damaged } from './layout.ts';
import { readSnapshotManifest, type SnapshotManifest } from './manifest.ts';

/**
 * Reads the manifest, the list of entries, and every chunk that it names.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` naming the first file that is missing or has another hash
 */
export async function quickVerifySnapshot(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  {
    progress = noProgress,
    signal,
  }: { progress?: Progress | undefined; signal?: AbortSignal | undefined } = {},
): Promise<SnapshotManifest> {
  const manifest = await readSnapshotManifest(snapshot);
  progress.phase('chunks', {
    bytes: manifest.chunks.size,
    items: manifest.chunks.count,
    unit: 'chunks',
  });
  const found = { count: 0, size: 0 };
  let previous: string | undefined;
  // The entries of one chunk stand together.
  for await (const { chunk } of readEntries(snapshot, manifest, codec)) {
    if (chunk === previous) continue;
    previous = chunk;
    found.count += 1;
    found.size += await hashChunk(snapshot, chunk, progress, signal);
    progress.advance(0, 1);
  }
  if (found.count !== manifest.chunks.count || found.size !== manifest.chunks.size) {
    damaged('the chunks are not those that the manifest counts', {
      path: snapshot.location,
      expected: `${String(manifest.chunks.count)} chunks, ${String(manifest.chunks.size)} bytes`,
      found: `${String(found.count)} chunks, ${String(found.size)} bytes`,
    });
  }
  return manifest;
}

async function hashChunk(
  snapshot: StoredSnapshot,
  chunk: string,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<number> {
  const path = `${snapshot.location}/${chunkFile(chunk)}`;
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const piece of snapshot.stream(chunkFile(chunk))) {
      signal?.throwIfAborted();
      hash.update(piece);
      size += piece.length;
      progress.advance(piece.length);
    }
  } catch (error) {
    if (error instanceof NotFoundError)
      return damaged('a chunk is missing', { path, cause: error });
    throw error;
  }
  const found = hash.digest('hex');
  if (found !== chunk) damaged('a chunk has another hash', { path, expected: chunk, found });
  return size;
}
