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

/** The tables that a SwingStore of an older schema lacks. A database without `kvStore` is no SwingStore. */
function missingTables(db: Database): string[] {
  return Object.keys(TABLES).filter(
    (table) => table !== 'kvStore' && definitionsOf(db, table).length === 0,
  );
}

/** The statements that define what SQLite finds by this name, in any case. */
function definitionsOf(db: Database, name: string): unknown[] {
  const find = db.prepare('SELECT sql FROM main.sqlite_schema WHERE name = ? COLLATE NOCASE');
  return find.pluck().all(name);
}

/**
 * Puts empty temporary tables in the place of those that the schema lacks, as the reference's exporter does in a
 * transaction that it rolls back. They outlive a transaction that is committed, until a later schema has the tables.
 * @param db a connection in a transaction, on which only temporary tables can be made
 * @returns the names of the missing tables
 */
export function standInForMissingTables(db: Database): string[] {
  const missing = missingTables(db);
  const standing = db.prepare('SELECT name FROM temp.sqlite_schema').pluck().all() as string[];
  db.pragma('query_only = OFF');
  for (const table of standing) {
    if (!missing.includes(table)) db.exec(`DROP TABLE temp.${table}`);
  }
  for (const table of missing) {
    const columns = Object.keys(TABLES[table] ?? {}).join(', ');
    if (!standing.includes(table)) db.exec(`CREATE TEMP TABLE ${table} (${columns})`);
  }
  db.pragma('query_only = ON');
  return missing;
}

/**
 * Describes in one line how the tables differ from those of a SwingStore; undefined if they do not. Tables that are
 * missing do not count, except `kvStore`. Reads only the schema, in the pinned view.
 */
export function findOtherSchema(db: Database): string | undefined {
  const missing = missingTables(db);
  for (const [table, columns] of Object.entries(TABLES)) {
    if (missing.includes(table)) continue;
    // Only this text defines what SQLite makes; the `type` column may hold anything.
    const plain = new RegExp(`^CREATE TABLE (["'\`]?)${table}\\1\\s*\\(`, 'iu');
    const [sql, second] = definitionsOf(db, table);
    if (typeof sql !== 'string' || second !== undefined || !plain.test(sql)) {
      return `no table ${table}`;
    }
    const there = db.prepare(`PRAGMA main.table_xinfo(${table})`).all() as Column[];
    for (const [name, pk] of Object.entries(columns)) {
      const found = there.find((column) => column.name === name);
      if (found === undefined) {
        const version = String(db.pragma('user_version', { simple: true }));
        return `no column ${name} in table ${table} (user_version ${version})`;
      }
      if (found.hidden !== 0) return `a generated column ${name} in table ${table}`;
      if (found.pk !== pk) return `another primary key of table ${table}`;
    }
  }
  return undefined;
}
