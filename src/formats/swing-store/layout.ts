/** File names and tables of a SwingStore. */
import { join } from 'node:path';
import { SwingSnapError } from '../../errors.ts';

/** The database file of a SwingStore, in its state dir; `dbFileInDirectory` of the reference. */
export const DATABASE_FILE = 'swingstore.sqlite';

/** Suffixes of the files that SQLite keeps next to a database. */
export const SIDE_FILES = ['-wal', '-shm', '-journal'] as const;

/** Path of the database in a state dir. */
export function databasePath(stateDir: string): string {
  return join(stateDir, DATABASE_FILE);
}

/**
 * The tables as the reference library makes them (`kvStore.js`, `transcriptStore.js`, `snapStore.js` version 1B,
 * `bundleStore.js`, `swingStore.js`). SQLite stores the text of each statement, white space included, so the two
 * schemas are equal byte for byte.
 */
export const SCHEMA = `
    CREATE TABLE IF NOT EXISTS pendingExports (
      key TEXT,
      value TEXT,
      PRIMARY KEY (key)
    );
    CREATE TABLE IF NOT EXISTS kvStore (
      key TEXT,
      value TEXT,
      PRIMARY KEY (key)
    );
    CREATE TABLE IF NOT EXISTS transcriptItems (
      vatID TEXT,
      position INTEGER,
      item TEXT,
      incarnation INTEGER,
      PRIMARY KEY (vatID, position)
    );
    CREATE TABLE IF NOT EXISTS transcriptSpans (
      vatID TEXT,
      startPos INTEGER, -- inclusive
      endPos INTEGER, -- exclusive
      hash TEXT, -- cumulative hash of this item and previous cumulative hash
      isCurrent INTEGER CHECK (isCurrent = 1),
      incarnation INTEGER,
      PRIMARY KEY (vatID, startPos),
      UNIQUE (vatID, isCurrent)
    );
    CREATE INDEX IF NOT EXISTS currentTranscriptIndex
    ON transcriptSpans (vatID, isCurrent)
  ;
    CREATE TABLE IF NOT EXISTS snapshots (
      vatID TEXT,
      snapPos INTEGER,
      inUse INTEGER CHECK(inUse = 1),
      hash TEXT,
      uncompressedSize INTEGER,
      compressedSize INTEGER,
      compressedSnapshot BLOB,
      PRIMARY KEY (vatID, snapPos),
      UNIQUE (vatID, inUse)
    );
    CREATE TABLE IF NOT EXISTS bundles (
      bundleID TEXT,
      bundle BLOB,
      PRIMARY KEY (bundleID)
    );
`;

/** Limit of one value in bytes, in the SQLite that better-sqlite3 builds. */
export const MAX_BLOB_BYTES = 1_000_000_000;

/** The error for an artifact whose stored form exceeds {@link MAX_BLOB_BYTES}. */
export function blobTooLarge(name: string, size: number): SwingSnapError {
  return new SwingSnapError('BLOB_TOO_LARGE', 'an artifact is larger than SQLite can store', {
    path: name,
    expected: `at most ${MAX_BLOB_BYTES} stored bytes`,
    found: `${size} bytes`,
  });
}
