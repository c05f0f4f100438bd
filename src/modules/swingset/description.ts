/** Describes the module `swingset`, with its lines of a content hash. */
import { SwingSnapError } from '../../errors.ts';
import type { StateDescription } from '../../snapshot/module-contract.ts';
import { ContentHasher } from '../../swing-store-export/content-hash.ts';
import type { RecordIndex } from '../../swing-store-export/export-data/record-index.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';

/**
 * Describes a verified export.
 * @param index lists its artifacts; without it, lines of other modules cannot follow in a content hash
 * @throws {SwingSnapError} `UNVERIFIED`
 */
export function describeExport(
  { height, artifactMode, exportData, artifacts, hashes }: ExportSummary,
  index?: RecordIndex,
): StateDescription {
  if (hashes?.contentHash === undefined) throw unverified();
  const { exportDataHash, operationalHash, contentHash } = hashes;
  const fields = { artifactMode, exportDataHash, operationalHash, exportData, artifacts };
  if (index === undefined) return { height, fields, contentHash };
  const hasher = new ContentHasher(height, exportDataHash);
  for (const artifact of index.present()) hasher.add(artifact);
  return { height, fields, contentHash, content: hasher.lines() };
}

export function unverified(): SwingSnapError {
  return new SwingSnapError('UNVERIFIED', 'only a verified export can become a snapshot');
}
