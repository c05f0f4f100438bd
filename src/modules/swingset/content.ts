/** What the module `swingset` is, as a description and as lines of a content hash. */
import type { LeadContent } from '../../formats/snapshot/earlier.ts';
import { SwingSnapError } from '../../errors.ts';
import { openScratchDatabase } from '../../io/scratch.ts';
import { ContentHasher } from '../../swing-store-export/content-hash.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import type { PresentArtifact, RecordIndex } from '../../swing-store-export/record-index.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import type { StateArtifact, StateDescription } from '../contract.ts';
import { SWINGSET } from './layout.ts';

/**
 * What a verified export is.
 * @param index lists its artifacts; without it, no other module's lines can follow in a content hash
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

/** A list of entries has small artifacts behind large ones: they are brought into canonical order first. */
export const swingsetContent: LeadContent = {
  module: SWINGSET,
  of({ height, modules: { swingset } }, artifacts, scratchDir) {
    const hasher = new ContentHasher(height, swingset.exportDataHash);
    const hasHistory = swingset.artifactMode === 'debug';
    for (const artifact of inOrder(artifacts, hasHistory, scratchDir)) hasher.add(artifact);
    return hasher.lines();
  },
};

/**
 * Artifacts in canonical order, as far as their names tell: where there are historical heap snapshots, a vat's last one
 * is taken for the one in use, which it is unless the vat is being deleted.
 */
function* inOrder(
  artifacts: Iterable<StateArtifact>,
  hasHistory: boolean,
  scratchDir: string,
): Generator<PresentArtifact> {
  const db = openScratchDatabase(scratchDir);
  try {
    db.exec(
      'CREATE TABLE artifacts (kind INTEGER, id TEXT, position INTEGER, name TEXT, size INTEGER, sha256 TEXT)',
    );
    const add = db.prepare('INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?)');
    for (const { name, size, sha256 } of artifacts) add.run(...placeOf(name), name, size, sha256);
    const sorted = db.prepare(
      `SELECT name, size, sha256 FROM (
         SELECT *, $hasHistory AND kind = 0
           AND position < max(position) OVER (PARTITION BY kind, id) AS isHistory FROM artifacts)
       ORDER BY kind, isHistory, id, position`,
    );
    yield* sorted.iterate({ hasHistory: hasHistory ? 1 : 0 }) as IterableIterator<PresentArtifact>;
  } finally {
    db.close();
  }
}

function placeOf(artifact: string): [kind: number, id: string, position: number] {
  const name = parseArtifactName(artifact);
  switch (name.kind) {
    case 'snapshot':
      return [0, name.vatID, name.snapPos];
    case 'transcript':
      return [1, name.vatID, name.startPos];
    case 'bundle':
      return [2, name.bundleID, 0];
  }
}
