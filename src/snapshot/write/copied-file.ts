/** Copies a file and hashes it on the way, in any thread. */
import { createHash } from 'node:crypto';
import { follow, type Recipe } from '../../io/threads/recipe.ts';
import { workerTask } from '../../io/threads/task.ts';
import type { Pieces, StagedFile } from '../../storage/contract.ts';
import type { ArtifactDigest } from '../../swing-store-export/swing-store-export.ts';

export interface FileToCopy {
  readonly from: Recipe<Pieces>;
  readonly to: Recipe<StagedFile>;
  /** Of which no more are written: the file may grow meanwhile. */
  readonly maxBytes: number;
}

/** @returns size and SHA-256 of what was written */
export async function copyFile({ from, to, maxBytes }: FileToCopy): Promise<ArtifactDigest> {
  return copyPieces(await follow(from), await follow(to), maxBytes);
}

export const copyingFile = workerTask(import.meta.url, copyFile);

/** As {@link copyFile}. Closes the file in any case. */
export async function copyPieces(
  pieces: Pieces,
  file: StagedFile,
  maxBytes: number,
): Promise<ArtifactDigest> {
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      size += piece.length;
      if (size > maxBytes) break;
      await file.write(piece);
    }
  } finally {
    await file.close();
  }
  return { size, sha256: hash.digest('hex') };
}
