/**
 * The database of a new SwingStore while it is filled. No other process sees it until it is complete and synced, and
 * a failed build is discarded. So it needs no journal and no intermediate sync.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { linesOf } from '../../../io/bytes/lines.ts';
import { makeDatabase, type Database } from '../../../io/sqlite.ts';
import { itemOfLine } from '../../../swing-store-export/artifact/verify-artifact.ts';
import type { RestoreMode } from '../../../swing-store-export/artifact-mode.ts';
import {
  entriesOfBlock,
  endOfKVLines,
} from '../../../swing-store-export/export-data/export-data.ts';
import {
  decodeBundleRecord,
  decodeHeapSnapshotRecord,
  decodeTranscriptSpanRecord,
} from '../../../swing-store-export/export-data/records.ts';
import { findLack } from '../completeness.ts';
import { SCHEMA } from '../layout.ts';

const [OPEN, COMMA, CLOSE, NEWLINE] = [0x5b, 0x2c, 0x5d, 0x0a];

/** Offset of the write and read versions in the header, one byte each. */
const VERSIONS_OFFSET = 18;
const WAL_VERSION = 2;

/** Larger blocks are parsed in JavaScript: SQLite would hold a long value several times. */
const MAX_PARSED_BY_SQLITE_BYTES = 4 * 1024 * 1024;

/** A heap snapshot as it is stored. */
export interface StoredHeapSnapshot {
  readonly vatID: string;
  readonly snapPos: number;
  /** Uncompressed size in bytes. */
  readonly size: number;
  /** Gzipped content. */
  readonly blob: Uint8Array;
}

/** Lines of a transcript span. The first line is the item at `position`. */
export interface SpanLines {
  readonly vatID: string;
  /** Start of the span. */
  readonly startPos: number;
  readonly position: number;
  readonly block: Uint8Array;
}

export class NewDatabase {
  readonly #path: string;
  readonly #db: Database;
  readonly #sql: Statements;

  /** Makes the database at `path`, in a directory of ours and with a `secretDatabaseName`. */
  constructor(path: string) {
    this.#path = path;
    this.#db = makeDatabase(path);
    try {
      this.#db.pragma('journal_mode = OFF');
      this.#db.pragma('synchronous = OFF');
      this.#db.pragma('locking_mode = EXCLUSIVE');
      // Rows arrive in key order, so a few MiB of cache hold every page that is still being filled. The page size stays
      // at SQLite's 4096 bytes, as in the node's own stores: larger pages gave no measurable speedup.
      this.#db.pragma('cache_size = -16384');
      this.#db.exec(SCHEMA);
      this.#db.exec('BEGIN');
      this.#sql = prepareStatements(this.#db);
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** Adds a block of canonical lines of export data. */
  addExportData(block: Uint8Array): void {
    const lines = Buffer.from(block.buffer, block.byteOffset, block.length);
    const kvEnd = endOfKVLines(lines);
    const kv = lines.subarray(0, kvEnd);
    if (kvEnd > MAX_PARSED_BY_SQLITE_BYTES) {
      for (const [key, value] of entriesOfBlock(kv)) {
        this.#sql.addKV.run(key.slice('kv.'.length), value);
      }
    } else if (kvEnd > 0) {
      this.#sql.addKVLines.run(asJSONArray(kv));
    }
    for (const [key, value] of entriesOfBlock(lines.subarray(kvEnd))) this.#addRecord(key, value);
  }

  #addRecord(key: string, value: string): void {
    if (key.startsWith('snapshot.')) {
      const record = decodeHeapSnapshotRecord(key, value);
      if (record === undefined) return;
      const { vatID, snapPos, hash, inUse } = record;
      this.#sql.addSnapshot.run(vatID, snapPos, hash, inUse ? 1 : null);
    } else if (key.startsWith('transcript.')) {
      const record = decodeTranscriptSpanRecord(key, value);
      const { vatID, startPos, endPos, hash, isCurrent, incarnation } = record;
      this.#sql.addSpan.run(vatID, startPos, endPos, hash, isCurrent ? 1 : null, incarnation);
    } else {
      this.#sql.addBundle.run(decodeBundleRecord(key, value));
    }
  }

  addHeapSnapshot({ vatID, snapPos, size, blob }: StoredHeapSnapshot): void {
    this.#sql.populateSnapshot.run(size, blob.length, blob, vatID, snapPos);
  }

  addSpanLines({ vatID, startPos, position, block }: SpanLines): void {
    const incarnation = this.#sql.incarnationOf.get(vatID, startPos);
    let at = position;
    for (const line of linesOf(Buffer.from(block.buffer, block.byteOffset, block.length))) {
      this.#sql.addItem.run(vatID, itemOfLine(line), at, incarnation);
      at += 1;
    }
  }

  addBundle({ bundleID, stored }: { bundleID: string; stored: Uint8Array | string }): void {
    this.#sql.populateBundle.run(stored, bundleID);
  }

  /**
   * Closes the database, in WAL mode as the node expects, and without side files.
   * @returns what the database lacks for `mode`, as `findLack` does
   */
  finish({ height, mode }: { height: number; mode: RestoreMode }): string | undefined {
    this.#sql.addKV.run('host.height', String(height));
    this.#db.exec('COMMIT');
    const lack = findLack(this.#db, mode);
    if (lack !== undefined) return lack;
    this.#db.close();
    switchToWAL(this.#path);
    return undefined;
  }

  close(): void {
    this.#db.close();
  }
}

/**
 * Puts a closed database into WAL mode by editing its header. SQLite itself would create a `-wal` and a `-shm` by
 * name, in the directory that our path leads to at that moment, which may be another.
 * @see https://www.sqlite.org/fileformat2.html#file_format_version_numbers
 */
function switchToWAL(path: string): void {
  const file = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    writeSync(file, Uint8Array.of(WAL_VERSION, WAL_VERSION), 0, 2, VERSIONS_OFFSET);
  } finally {
    closeSync(file);
  }
}

/** Joins lines into a JSON array. A line holds no raw newline. */
function asJSONArray(lines: Buffer): Buffer {
  const array = Buffer.allocUnsafe(lines.length + 1);
  array[0] = OPEN;
  array.set(lines, 1);
  for (let at = array.indexOf(NEWLINE); at !== -1; at = array.indexOf(NEWLINE, at)) {
    array[at] = COMMA;
  }
  array[array.length - 1] = CLOSE;
  return array;
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(db: Database) {
  return {
    addKV: db.prepare('INSERT INTO kvStore (key, value) VALUES (?, ?)'),
    // Parsing the text in SQLite takes two thirds of the time that JavaScript strings for each row take. substr() of
    // text stops at a NUL character, which a key may hold: hence the casts.
    addKVLines: db.prepare(
      `INSERT INTO kvStore (key, value)
       SELECT CAST(substr(CAST(value ->> 0 AS BLOB), ${'kv.'.length + 1}) AS TEXT), value ->> 1
       FROM jsonb_each(CAST(? AS TEXT))`,
    ),
    addSnapshot: db.prepare(
      'INSERT INTO snapshots (vatID, snapPos, hash, inUse) VALUES (?, ?, ?, ?)',
    ),
    addSpan: db.prepare(
      `INSERT INTO transcriptSpans (vatID, startPos, endPos, hash, isCurrent, incarnation)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    addBundle: db.prepare('INSERT INTO bundles (bundleID, bundle) VALUES (?, NULL)'),
    populateSnapshot: db.prepare(
      `UPDATE snapshots SET uncompressedSize = ?, compressedSize = ?, compressedSnapshot = ?
       WHERE vatID = ? AND snapPos = ?`,
    ),
    incarnationOf: db
      .prepare('SELECT incarnation FROM transcriptSpans WHERE vatID = ? AND startPos = ?')
      .pluck(),
    addItem: db.prepare(
      // An item is either UTF-8 bytes or text.
      `INSERT INTO transcriptItems (vatID, item, position, incarnation)
       VALUES (?, CAST(? AS TEXT), ?, ?)`,
    ),
    populateBundle: db.prepare('UPDATE bundles SET bundle = ? WHERE bundleID = ?'),
  };
}
