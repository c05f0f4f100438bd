/** Checks that all files of a snapshot exist, by hash or only by size, without unpacking the chunks. */
import { mapAhead } from '../../io/flow/ahead.ts';
import { noProgress } from '../../io/progress.ts';
import { aheadOf, inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import type { CopyOptions } from '../../swing-store-export/copy-unverified.ts';
import { digestingFile } from '../chunk-file.ts';
import { chunkFile, damaged, maxChunkFileBytes, type FormatVersion } from '../layout.ts';
import { readSnapshotManifest, type SnapshotManifest } from '../manifest.ts';
import { missingChunk, pathOfChunk, recipeOfChunk } from './load-chunk.ts';
import { planChunks } from './plan-chunks.ts';

/**
 * Reads the manifest, the list of entries, and every chunk that the list names.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` naming the first file that is missing or has the wrong hash
 */
export async function quickVerifySnapshot(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  options: CopyOptions = {},
): Promise<SnapshotManifest> {
  const manifest = await readSnapshotManifest(snapshot);
  await hashChunks(snapshot, manifest, codec, options);
  return manifest;
}

/** {@link quickVerifySnapshot} for a manifest that was already read. Throws as it does. */
export async function hashChunks(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
  { progress = noProgress, signal, pool = inlinePool }: CopyOptions = {},
): Promise<void> {
  progress.phase('chunks', {
    bytes: manifest.chunks.size,
    items: manifest.chunks.count,
    unit: 'chunks',
  });
  const found = { count: 0, size: 0 };
  const chunks = planChunks(snapshot, manifest, codec);
  const limits = aheadOf(pool, (): number => manifest.made.chunkSize);
  const hashed = mapAhead(chunks, limits, async ({ chunk }) =>
    hashChunk(snapshot, chunk, manifest.version, pool),
  );
  for await (const size of hashed) {
    signal?.throwIfAborted();
    found.count += 1;
    found.size += size;
    progress.advance(size, 1);
  }
  refuseOtherCount(snapshot, manifest, found);
}

/**
 * Checks that a snapshot is whole: its manifest and list of entries are right, and all chunks exist with the total size
 * that the manifest gives. Reads no chunk, so it does not check their content.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is not; as the storage
 */
export async function checkWhole(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
): Promise<SnapshotManifest> {
  const manifest = await readSnapshotManifest(snapshot);
  const found = { count: 0, size: 0 };
  for await (const { chunk } of planChunks(snapshot, manifest, codec)) {
    found.count += 1;
    found.size += await snapshot.size(chunkFile(chunk)).catch(missingChunk(snapshot, chunk));
  }
  refuseOtherCount(snapshot, manifest, found);
  return manifest;
}

function refuseOtherCount(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  found: SnapshotManifest['chunks'],
): void {
  if (found.count !== manifest.chunks.count || found.size !== manifest.chunks.size) {
    damaged('the number or size of the chunks is not what the manifest says', {
      path: snapshot.location,
      expected: `${manifest.chunks.count} chunks, ${manifest.chunks.size} bytes`,
      found: `${found.count} chunks, ${found.size} bytes`,
    });
  }
}

/** @returns the size of the chunk's file in bytes */
async function hashChunk(
  snapshot: StoredSnapshot,
  chunk: string,
  version: FormatVersion,
  pool: WorkerPool,
): Promise<number> {
  const { size, sha256: found } = await recipeOfChunk(snapshot, chunk, version)
    .then(async (recipe) =>
      pool.run(digestingFile, recipe, bytesIn(recipe.input), maxChunkFileBytes(version)),
    )
    .catch(missingChunk(snapshot, chunk));
  if (found === chunk) return size;
  const path = pathOfChunk(snapshot, chunk);
  return damaged('a chunk has the wrong hash', { path, expected: chunk, found });
}
