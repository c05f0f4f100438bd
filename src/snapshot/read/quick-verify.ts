/** Checks that all files of a snapshot exist, by hash or only by size, without unpacking the chunks. */
import { mapAhead } from '../../io/flow/ahead.ts';
import { Breath } from '../../io/flow/breath.ts';
import { noProgress } from '../../io/progress.ts';
import { aheadOf, inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredFileFacts, StoredSnapshot } from '../../storage/contract.ts';
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

/** A chunk of a whole snapshot, as its list names it, and what is known of its file. */
export interface StoredChunk extends StoredFileFacts {
  /** SHA-256 of the file, in hex. It is not checked. */
  readonly chunk: string;
}

/**
 * Looks for all chunks of a snapshot whose manifest was read. It is whole if its list of entries is right, and all chunks
 * exist with the total size that the manifest gives. Reads no chunk, so it does not check their content.
 * @returns the chunks in the order of the list
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is not; {@link NotFoundError} `SNAPSHOT_GONE`; as the storage
 */
export async function findChunks(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
): Promise<StoredChunk[]> {
  const chunks: StoredChunk[] = [];
  const found = { count: 0, size: 0 };
  const breath = new Breath();
  for await (const { chunk } of planChunks(snapshot, manifest, codec)) {
    const facts = await snapshot.facts(chunkFile(chunk)).catch(missingChunk(snapshot, chunk));
    found.count += 1;
    found.size += facts.size;
    chunks.push({ ...facts, chunk });
    await breath.take();
  }
  refuseOtherCount(snapshot, manifest, found);
  return chunks;
}

/** @throws {VerificationError} `SNAPSHOT_DAMAGED` if these are not the chunks that the manifest counts */
export function refuseOtherCount(
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

/**
 * @returns the size of the chunk's file in bytes
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is missing or has the wrong hash
 */
export async function hashChunk(
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
