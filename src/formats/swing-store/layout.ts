/** Where a SwingStore is, and its tables. */
import { join } from 'node:path';
import { SwingSnapError } from '../../errors.ts';

/** The database file of a SwingStore, in its state dir; `dbFileInDirectory` of the reference. */
export const DATABASE_FILE = 'swingstore.sqlite';

/** Files that SQLite keeps beside a database, by what they add to its name. */
export const SIDE_FILES = ['-wal', '-shm', '-journal'] as const;

/** Path of the database in a state dir. */
export function databasePath(stateDir: string): string {
  return join(stateDir, DATABASE_FILE);
}

/**
 * The tables as the reference library makes them (`kvStore.js`, `transcriptStore.js`, `snapStore.js` version 1B,
 * `bundleStore.js`, `swingStore.js`), so that it finds what it would have made itself. SQLite keeps the text of each
 * statement, white space and all: the schemas are equal to the byte.
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

/** SQLite's limit for one value, as better-sqlite3 is built, in bytes. */
export const MAX_BLOB_BYTES = 1_000_000_000;

/** The error of an artifact whose stored form is longer than {@link MAX_BLOB_BYTES}. */
export function blobTooLarge(name: string, size: number): SwingSnapError {
  return new SwingSnapError('BLOB_TOO_LARGE', 'an artifact is larger than SQLite can keep', {
    path: name,
    expected: `at most ${MAX_BLOB_BYTES} stored bytes`,
    found: `${size} bytes`,
  });
}
