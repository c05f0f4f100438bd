/** `show`: the manifest of one snapshot. */
import { UsageError } from '../../errors.ts';
import { noProgress } from '../../io/progress.ts';
import { readManifestFile, type SnapshotManifest } from '../../snapshot/manifest.ts';
import { findSource } from '../../source/find.ts';
import type { SourceOptions } from '../options.ts';
import { chooseScratchDir } from '../preflight.ts';
import { refuseHeight } from '../with-source.ts';

export interface Shown {
  /** Of the snapshot. */
  readonly path: string;
  /** SHA-256 of the bytes of the manifest, which cover all of the snapshot. */
  readonly manifestSha256: string;
  readonly manifest: SnapshotManifest;
}

/**
 * Reads a manifest, and nothing else.
 * @throws {UsageError} `NOT_A_SNAPSHOT` for another form of a source; as `findSource`, `readManifestFile`
 */
export async function showSnapshot({
  source,
  height,
  progress = noProgress,
}: Pick<SourceOptions, 'source' | 'height' | 'progress'>): Promise<Shown> {
  const scratchDir = chooseScratchDir(undefined);
  const found = await findSource(source, { height, scratchDir, note: progress.note });
  if (found.form !== 'snapshot') {
    throw new UsageError('NOT_A_SNAPSHOT', 'only a snapshot of swingsnap has a manifest to show', {
      path: found.path,
      expected: 'a snapshot, or a directory of snapshots',
      found: found.form,
    });
  }
  const { path, snapshot } = found;
  const { manifest, sha256 } = await readManifestFile(snapshot);
  refuseHeight({ path, height: manifest.height }, height);
  return { path, manifestSha256: sha256, manifest };
}
