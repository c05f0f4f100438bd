/**
 * Checks that a SwingStore holds every artifact that a mode needs: `assertComplete` of the reference, on its tables.
 */
import type { Database } from '../../io/sqlite.ts';
import type { RestoreMode } from '../../swing-store-export/artifact-mode.ts';

/**
 * Describes in one line what a store lacks for an export of `mode`; undefined if it is complete. `debug` needs the
 * same as `operational`. Reports the first gap in the reference's order: bundles, transcripts, heap snapshots.
 */
export function findLack(db: Database, mode: RestoreMode): string | undefined {
  return lackOfBundles(db) ?? lackOfItems(db, mode) ?? lackOfHeapSnapshots(db);
}

function lackOfBundles(db: Database): string | undefined {
  const ids = db
    .prepare('SELECT bundleID FROM bundles WHERE bundle IS NULL ORDER BY bundleID LIMIT 10')
    .pluck()
    .all();
  return ids.length === 0 ? undefined : `bundles are missing: ${ids.join(', ')}`;
}

function lackOfHeapSnapshots(db: Database): string | undefined {
  const vats = db
    .prepare(
      'SELECT vatID FROM snapshots WHERE inUse = 1 AND compressedSnapshot IS NULL ORDER BY vatID LIMIT 10',
    )
    .pluck()
    .all();
  return vats.length === 0
    ? undefined
    : `current heap snapshots are missing for vats ${vats.join(', ')}`;
}

interface CurrentSpan {
  vatID: string;
  startPos: number;
  endPos: number;
  incarnation: number;
}

function lackOfItems(db: Database, mode: RestoreMode): string | undefined {
  const startOfIncarnation = db
    .prepare('SELECT min(startPos) FROM transcriptSpans WHERE vatID = ? AND incarnation = ?')
    .pluck();
  const countItems = db
    .prepare(
      'SELECT count(*) FROM transcriptItems WHERE vatID = ? AND position >= ? AND position < ?',
    )
    .pluck();
  const spans = db.prepare(
    'SELECT vatID, startPos, endPos, incarnation FROM transcriptSpans WHERE isCurrent = 1 ORDER BY vatID',
  );
  for (const span of spans.iterate() as IterableIterator<CurrentSpan>) {
    const { vatID, startPos, endPos, incarnation } = span;
    let from: unknown = startPos;
    if (mode === 'replay') from = startOfIncarnation.get(vatID, incarnation);
    if (mode === 'archival') from = 0;
    const count = Number(countItems.get(vatID, from, endPos));
    const expected = endPos - Number(from);
    if (count !== expected) {
      return `the transcript of vat ${vatID} has ${String(count)} of the ${String(expected)} items from ${String(from)} to ${String(endPos)}`;
    }
  }
  return undefined;
}
