/** Reads the files of chunks and their content. */
import { NotFoundError } from '../../errors.ts';
import { given, type Recipe } from '../../io/threads/recipe.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { Pieces, StoredSnapshot } from '../../storage/contract.ts';
import type { CheckedContent, Contents } from '../../swing-store-export/swing-store-export.ts';
import { recipeOfContents } from '../chunk-file.ts';
import { refuseGone } from '../gone.ts';
import {
  chunkFile,
  damaged,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  maxChunkFileBytes,
  type FormatVersion,
} from '../layout.ts';
import type { PlannedChunk } from './plan-chunks.ts';

/**
 * How any thread reads and checks the contents of a chunk, those of the wanted entries. Looks at the size of its file
 * first.
 * @param wanted says of each entry whether its content is wanted
 * @returns the recipe and the size of the chunk's file in bytes
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if the chunk is missing, as following the recipe; as the storage
 */
export async function contentsOf(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  { chunk, entries }: PlannedChunk,
  wanted: readonly boolean[],
  version: FormatVersion,
): Promise<{ recipe: Recipe<Contents<CheckedContent>>; fileBytes: number }> {
  const path = pathOfChunk(snapshot, chunk);
  const missing = missingChunk(snapshot, chunk);
  const fileBytes = await snapshot.size(chunkFile(chunk)).catch(missing);
  const recipe = recipeOfContents({
    path,
    chunk,
    entries: entries.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
    wanted,
    recipe: await recipeOfChunk(snapshot, chunk, version).catch(missing),
    codec: codec.name,
    isShared: version !== 1,
    snapshot: {
      location: snapshot.location,
      manifest: snapshot.recipe?.(MANIFEST_FILE, MAX_MANIFEST_BYTES),
    },
  });
  return { recipe, fileBytes };
}

/** How a thread gets the bytes of a chunk's file, unchecked. Throws as the storage. */
export async function recipeOfChunk(
  snapshot: StoredSnapshot,
  chunk: string,
  version: FormatVersion,
): Promise<Recipe<Pieces>> {
  const file = chunkFile(chunk);
  const maxBytes = maxChunkFileBytes(version);
  return snapshot.recipe?.(file, maxBytes) ?? given([await snapshot.read(file, maxBytes)]);
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
