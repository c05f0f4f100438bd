/**
 * How large an export of a store becomes, for progress. Rows are counted. How long they are is known for heap snapshots
 * and bundles; of keys and of transcripts, some are measured, since measuring all of them takes as long as reading them.
 */
import type { ProgressTotal } from '../../../io/progress.ts';
import type { Database } from '../../../io/sqlite.ts';
import type { ArtifactMode } from '../../../swing-store-export/artifact-mode.ts';
import { RECORD_LINE_BYTES } from '../../../swing-store-export/export-data/records.ts';
import { CONSENSUS } from './kv/kv-blocks.ts';

/** How many places of a table are looked at, and how many rows at each. */
const PLACES = 64;
const ROWS = 8;

/** What surrounds a key and a value in a line, in bytes. */
const AROUND_KEY_AND_VALUE = '["kv.",""]\n'.length;

/** The spans of an export of a mode. A vat without a current span is being deleted. */
export const SPANS_OF: Readonly<Record<Exclude<ArtifactMode, 'none' | 'debug'>, string>> = {
  operational: 'isCurrent = 1',
  replay: `incarnation = (SELECT c.incarnation FROM transcriptSpans c
             WHERE c.vatID = transcriptSpans.vatID AND c.isCurrent = 1)`,
  archival: 'vatID IN (SELECT vatID FROM transcriptSpans WHERE isCurrent = 1)',
};

/** Spans whose first item is there, so that most of those of mode `debug` are found without a look at each item. */
const BEGUN_SPANS = `startPos = endPos OR EXISTS (SELECT 1 FROM transcriptItems i
  WHERE i.vatID = transcriptSpans.vatID AND i.position = startPos)`;

/** Entries and bytes of the export data. */
export function exportDataTotal(db: Database): ProgressTotal {
  const keys = numberOf(db, `SELECT count(*) FROM kvStore WHERE ${CONSENSUS}`);
  const records = numberOf(
    db,
    `SELECT (SELECT count(*) FROM snapshots) + (SELECT count(*) FROM snapshots WHERE inUse = 1) +
       (SELECT count(*) FROM transcriptSpans) + (SELECT count(*) FROM bundles)`,
  );
  return {
    items: keys + records,
    bytes: Math.round(keys * usualLine(db) + records * RECORD_LINE_BYTES),
    unit: 'entries',
  };
}

/** Number and bytes of the artifacts of a mode. */
export function artifactsTotal(db: Database, mode: ArtifactMode): ProgressTotal {
  if (mode === 'none') return { items: 0, bytes: 0, unit: 'artifacts' };
  const heaps = `FROM snapshots WHERE compressedSnapshot IS NOT NULL${mode === 'debug' ? '' : ' AND inUse = 1'}`;
  const spans = `FROM transcriptSpans WHERE ${mode === 'debug' ? BEGUN_SPANS : SPANS_OF[mode]}`;
  const count = (from: string): number => numberOf(db, `SELECT count(*) ${from}`);
  return {
    items: count(heaps) + count(spans) + count('FROM bundles'),
    bytes:
      numberOf(db, `SELECT coalesce(sum(uncompressedSize), 0) ${heaps}`) +
      numberOf(db, 'SELECT coalesce(sum(octet_length(bundle)), 0) FROM bundles') +
      Math.round(
        numberOf(db, `SELECT coalesce(sum(endPos - startPos), 0) ${spans}`) * usualItem(db, spans),
      ),
    unit: 'artifacts',
  };
}

/** Bytes of a usual line of a key. */
function usualLine(db: Database): number {
  const last = numberOf(db, 'SELECT coalesce(max(rowid), 0) FROM kvStore');
  // JSON adds a backslash to each of these two characters.
  const plain = `replace(replace(value, '"', ''), '\\', '')`;
  const look = db.prepare(
    `SELECT count(*) AS rows, coalesce(sum(octet_length(key) +
       coalesce(2 * octet_length(value) - octet_length(${plain}), 0)), 0) AS bytes
     FROM (SELECT key, value FROM kvStore WHERE rowid >= ? LIMIT ${ROWS}) WHERE ${CONSENSUS}`,
  );
  const found = { rows: 0, bytes: 0 };
  for (let place = 0; place < PLACES; place += 1) {
    const { rows, bytes } = look.get(Math.floor((place * last) / PLACES)) as typeof found;
    found.rows += rows;
    found.bytes += bytes;
  }
  return found.rows === 0 ? 0 : found.bytes / found.rows + AROUND_KEY_AND_VALUE;
}

interface SpanRow {
  readonly vatID: string;
  readonly startPos: number;
  readonly endPos: number;
}

/** Bytes of a usual transcript item, its newline included. */
function usualItem(db: Database, spans: string): number {
  const step = Math.max(1, Math.floor(numberOf(db, `SELECT count(*) ${spans}`) / PLACES));
  const some = db.prepare(
    `SELECT vatID, startPos, endPos FROM
       (SELECT vatID, startPos, endPos, row_number() OVER (ORDER BY vatID, startPos) AS number ${spans})
     WHERE number % ? = 0`,
  );
  const look = db
    .prepare(
      `SELECT avg(octet_length(coalesce(item, 'null'))) FROM
         (SELECT item FROM transcriptItems WHERE vatID = ? AND position >= ? AND position < ? LIMIT ${ROWS})`,
    )
    .pluck();
  const found = { items: 0, bytes: 0 };
  for (const { vatID, startPos, endPos } of some.all(step) as SpanRow[]) {
    // The first items of a span are small: they begin a worker.
    const middle = Math.floor((startPos + endPos) / 2);
    const usual = look.get(vatID, middle, endPos) as number | null;
    const items = endPos - startPos;
    if (usual === null || !(items > 0)) continue;
    found.items += items;
    found.bytes += items * (usual + 1);
  }
  return found.items === 0 ? 0 : found.bytes / found.items;
}

/** Rows may hold anything, and a size of nonsense is no size. */
function numberOf(db: Database, sql: string): number {
  const found = Number(db.prepare(sql).pluck().get());
  return Number.isFinite(found) ? Math.max(0, found) : 0;
}
