/**
 * Checks that the tables we read are plain tables of a SwingStore. A view, a virtual table or a generated column runs
 * code that its author chose. It may never end, and SQLite cannot be stopped while it runs.
 */
import type { Database } from '../../../io/sqlite.ts';

/** Columns of each table that we read, and their positions in the primary key; 0 if not in it. */
const TABLES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  kvStore: { key: 1, value: 0 },
  transcriptItems: { vatID: 1, position: 2, item: 0, incarnation: 0 },
  transcriptSpans: {
    vatID: 1,
    startPos: 2,
    endPos: 0,
    hash: 0,
    isCurrent: 0,
    incarnation: 0,
  },
  snapshots: {
    vatID: 1,
    snapPos: 2,
    inUse: 0,
    hash: 0,
    uncompressedSize: 0,
    compressedSize: 0,
    compressedSnapshot: 0,
  },
  bundles: { bundleID: 1, bundle: 0 },
};

interface Column {
  readonly name: string;
  readonly pk: number;
  /** 0 for a column that holds what was written into it. */
  readonly hidden: number;
}

/**
 * Describes in one line how the tables differ from those of a SwingStore; undefined if they do not. Reads only the
 * schema, in the pinned view.
 */
export function findOtherSchema(db: Database): string | undefined {
  const definition = db.prepare('SELECT sql FROM sqlite_schema WHERE name = ?').pluck();
  for (const [table, columns] of Object.entries(TABLES)) {
    // Only this text defines what SQLite makes; the `type` column may hold anything.
    const plain = new RegExp(`^CREATE TABLE (["'\`]?)${table}\\1\\s*\\(`, 'iu');
    const sql = definition.get(table);
    if (typeof sql !== 'string' || !plain.test(sql)) return `no table ${table}`;
    const there = db.prepare(`PRAGMA table_xinfo(${table})`).all() as Column[];
    for (const [name, pk] of Object.entries(columns)) {
      const found = there.find((column) => column.name === name);
      if (found === undefined) return `no column ${name} in table ${table}`;
      if (found.hidden !== 0) return `a generated column ${name} in table ${table}`;
      if (found.pk !== pk) return `another primary key of table ${table}`;
    }
  }
  return undefined;
}
