/** All of a stored snapshot is read and proved, and nothing is kept of it. */
import { damaged } from '../../snapshot/layout.ts';
import type { ManifestFile, SnapshotManifest } from '../../snapshot/manifest.ts';
import type { StateModule } from '../../snapshot/module-contract.ts';
import { unpackModules, type UnpackModulesOptions } from '../../snapshot/read/unpack-modules.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import { swingsetModule } from './module.ts';
import { verifyExport } from './receivers.ts';

/**
 * @param file the manifest that is meant
 * @param others a module that verifies for each state but that of `swingset`
 * @throws {VerificationError} for whatever is wrong with it, or if its manifest is another by now
 */
export async function verifySnapshot(
  stored: StoredSnapshot,
  { manifest, sha256 }: ManifestFile,
  others: readonly StateModule[],
  options: UnpackModulesOptions,
): Promise<void> {
  const { location } = stored;
  const onCopied = (summary: ExportSummary): void => {
    refuseUnread(manifest, summary, location);
  };
  const swingset = swingsetModule({ target: { location, receive: verifyExport({ onCopied }) } });
  const { manifestSha256, isReadWhole } = await unpackModules(
    stored,
    [swingset, ...others],
    options,
  );
  if (manifestSha256 === sha256 && isReadWhole) return;
  damaged('the snapshot was changed while it was verified', { path: location });
}

/**
 * A copy leaves the artifacts that the mode has no use for, and takes their hashes from the list. A snapshot of that
 * mode has none of them.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`
 */
export function refuseUnread(
  { modules: { swingset } }: SnapshotManifest,
  { artifacts }: ExportSummary,
  path: string,
): void {
  if (artifacts.count === swingset.artifacts.count) return;
  damaged('the snapshot holds artifacts that its artifact mode has no use for', {
    path,
    expected: `${artifacts.count} (${swingset.artifactMode})`,
    found: swingset.artifacts.count,
  });
}
