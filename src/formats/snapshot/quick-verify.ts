/** Whether a snapshot's files are all there with the right hashes, without looking into the chunks. */
import { mapAhead } from '../../io/ahead.ts';
import { hashing } from '../../io/digest.ts';
import { noProgress } from '../../io/progress.ts';
import { aheadOf, inlinePool, type WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import type { CopyOptions } from '../../swing-store-export/copy-unverified.ts';
import { planChunks, readChunkFile } from './chunks.ts';
import { damaged } from './layout.ts';

import { readSnapshotManifest, type SnapshotManifest } from './manifest.ts';

/**
 * Reads the manifest, the list of entries, and every chunk that it names.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` naming the first file that is missing or has another hash
 */
export async function quickVerifySnapshot(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  { progress = noProgress, signal, pool = inlinePool }: CopyOptions = {},
): Promise<SnapshotManifest> {
  const manifest = await readSnapshotManifest(snapshot);
  progress.phase('chunks', {
    bytes: manifest.chunks.size,
    items: manifest.chunks.count,
    unit: 'chunks',
  });
  const found = { count: 0, size: 0 };
  const chunks = planChunks(snapshot, manifest, codec);
  const limits = aheadOf(pool, (): number => manifest.made.chunkSize);
  const hashed = mapAhead(chunks, limits, async ({ chunk }) => hashChunk(snapshot, chunk, pool));
  for await (const size of hashed) {
    signal?.throwIfAborted();
    found.count += 1;
    found.size += size;
    progress.advance(size, 1);
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

/** @returns the size of the chunk's file in bytes */
async function hashChunk(
  snapshot: StoredSnapshot,
  chunk: string,
  pool: WorkerPool,
): Promise<number> {
  const { path, bytes } = await readChunkFile(snapshot, chunk);
  const size = bytes.length;
  const found = await pool.run(hashing, bytes, [bytes]);
  if (found !== chunk) damaged('a chunk has another hash', { path, expected: chunk, found });
  return size;
}
