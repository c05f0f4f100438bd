/** Opens and pins a SwingStore's database in place, or finds out why that is impossible. */
import { realpathSync } from 'node:fs';
import { BusyError, SwingSnapError, VerificationError } from '../../../errors.ts';
import { holdFiles } from '../../../io/files/held-files.ts';
import { openDatabase, type Database } from '../../../io/sqlite.ts';
import { haveOpened, lookAt, type Sight } from './open-files.ts';
import { refuseOtherNameInUse } from './other-names.ts';
import { findOtherSchema, standInForMissingTables } from './schema.ts';
import { refuseOddSideFiles, wouldLeaveSideFiles } from './side-files.ts';
import { WalFile } from './wal-file.ts';

/** What a pinned view begins with. */
interface Begun {
  /** The value of `host.height`. */
  readonly rawHeight: unknown;
  /** Tables that the store's schema lacks. They are read as empty. */
  readonly missingTables: readonly string[];
}

/** A view of one commit. SQLite pins it at the first read. */
export interface Pin extends Begun {
  /** Path of the database without links; later connections use it. */
  readonly database: string;
  readonly db: Database;
  readonly commits: CommitWatch;
  /** The files before any connection was opened. */
  readonly before: Sight;
  /** The files when the view was pinned. */
  readonly sight: Sight;
  /** The `-wal` that the connections read; undefined if the database has none. */
  readonly wal: WalFile | undefined;
  /** Releases everything. */
  close(): void;
}

/** Detects commits through a connection that pins nothing. */
export class CommitWatch {
  readonly #db: Database;
  #version: unknown;

  constructor(database: string, readonly: boolean) {
    this.#db = openStoreDatabase(database, readonly);
  }

  /** Call this before pinning a view. */
  begin(): void {
    this.#version = this.#now();
  }

  /** Whether there was a commit since {@link begin}: a view pinned now might then differ. */
  sinceBegin(): boolean {
    return this.#now() !== this.#version;
  }

  #now(): unknown {
    return this.#db.pragma('data_version', { simple: true });
  }

  close(): void {
    this.#db.close();
  }
}

/**
 * Opens a store's database, which may be hostile.
 * @param readonly if false, SQLite may roll back a journal
 */
export function openStoreDatabase(database: string, readonly = true): Database {
  const db = openDatabase(database, { readonly, fileMustExist: true });
  db.pragma('query_only = ON');
  db.pragma('trusted_schema = OFF');
  db.pragma('cell_size_check = ON');
  return db;
}

/** Connections of a pin: one for the view, one to watch for commits. */
export const CONNECTIONS = 2;

// SQLite cannot make or use the -shm, or would have to roll back a journal without permission to write.
const CANNOT_OPEN_IN_PLACE = /^SQLITE_(CANTOPEN|READONLY|PERM)/u;
const NO_STORE = /^SQLITE_(ERROR|CORRUPT|NOTADB|FORMAT|SCHEMA)/u;

/**
 * Why only a copy of a database can be opened: SQLite cannot open it, a reader must not roll back its journal, or
 * SQLite would leave side files that its owner cannot write.
 */
export interface Obstacle {
  readonly why: 'cannot open' | 'journal' | 'side files';
  /** What SQLite said, if it was asked. */
  readonly cause?: Error;
}

/**
 * Pins the database, or tells why only a copy of it can be opened.
 * @param path may contain links
 */
export function tryPin(path: string, { reportedAs = path, readonly = true } = {}): Pin | Obstacle {
  let db: Database | undefined;
  let commits: CommitWatch | undefined;
  let wal: WalFile | undefined;
  try {
    const database = realpathSync(path);
    refuseOddSideFiles(database);
    refuseOtherNameInUse(database);
    if (wouldLeaveSideFiles(database)) return { why: 'side files' };
    const before = lookAt(database);
    db = openStoreDatabase(database, readonly);
    commits = new CommitWatch(database, readonly);
    commits.begin();
    const begun = beginAtHeight(db, reportedAs);
    // SQLite opens each file by name: if the directory was swapped, the -wal may be missing or belong to another
    // store.
    const sight = lookAt(database);
    if (!haveOpened(CONNECTIONS, before, sight)) throw replaced(reportedAs);
    wal = WalFile.open(database);
    if (wal?.id !== sight.files.get('-wal')) throw replaced(reportedAs);
    return pinOf({ database, db, commits, ...begun, before, sight, wal });
  } catch (error) {
    commits?.close();
    db?.close();
    wal?.close();
    const code = (error as { code?: unknown }).code;
    if (!(error instanceof Error) || typeof code !== 'string') throw error;
    // It existed a moment ago.
    if (code === 'ENOENT' || code === 'ENOTDIR') throw replaced(reportedAs, error);
    if (CANNOT_OPEN_IN_PLACE.test(code)) {
      const why = code === 'SQLITE_READONLY_ROLLBACK' ? 'journal' : 'cannot open';
      return { why, cause: error };
    }
    if (NO_STORE.test(code)) throw notAStore(reportedAs, error.message, error);
    if (/^SQLITE_(BUSY|LOCKED)/u.test(code)) {
      throw new BusyError('STORE_LOCKED', 'another process has locked the SwingStore', {
        path: reportedAs,
        found: error.message,
        hint: 'run it again when that process has released the store',
        cause: error,
      });
    }
    throw error;
  }
}

function pinOf(pin: Omit<Pin, 'close'>): Pin {
  const letGo = holdFiles([...pin.sight.files.values()]);
  return {
    ...pin,
    close: () => {
      pin.commits.close();
      if (pin.db.inTransaction) pin.db.exec('ROLLBACK');
      pin.db.close();
      pin.wal?.close();
      letGo();
    },
  };
}

/**
 * Begins a transaction and pins the view by reading the schema, then reads the height.
 * @throws {VerificationError} `NOT_A_STORE` if the tables are not those of a SwingStore, or its text is not UTF-8
 */
export function beginAtHeight(db: Database, reportedAs: string): Begun {
  db.exec('BEGIN');
  const other = findOtherSchema(db);
  if (other !== undefined) throw otherSchema(reportedAs, other);
  const encoding = db.pragma('encoding', { simple: true });
  if (encoding !== 'UTF-8') throw otherEncoding(reportedAs, String(encoding));
  const missingTables = standInForMissingTables(db);
  const height = db.prepare(`SELECT value FROM kvStore WHERE key = 'host.height'`).pluck();
  return { rawHeight: height.get(), missingTables };
}

export function replaced(path: string, cause?: unknown): SwingSnapError {
  return new SwingSnapError(
    'STORE_REPLACED',
    'the SwingStore was replaced by another one while it was read',
    {
      path,
      hint: 'run it again',
      cause,
    },
  );
}

export function notAStore(path: string, found: string, cause?: unknown): VerificationError {
  return new VerificationError('NOT_A_STORE', 'not a SwingStore', {
    path,
    expected: 'a SQLite database with the tables of a SwingStore',
    found,
    hint: 'name another store with --state-dir, or restore one with: swingsnap restore SOURCE --state-dir <dir> --replace',
    cause,
  });
}

function otherSchema(path: string, found: string): VerificationError {
  return new VerificationError('NOT_A_STORE', 'not a SwingStore that can be read', {
    path,
    expected: 'the tables that @agoric/swing-store 0.9.0 and later make (schema 1A or 1B)',
    found,
    hint: 'name another store with --state-dir; if it is of an older version, export it with the software that made it, and use that export',
  });
}

/** Bytes of keys and values are read without conversion, and in the order of their bytes. */
function otherEncoding(path: string, found: string): VerificationError {
  return new VerificationError('NOT_A_STORE', 'the text in the SwingStore is not in UTF-8', {
    path,
    expected: 'UTF-8, as in every database that a node makes (PRAGMA encoding)',
    found,
    hint: 'name another store with --state-dir, or restore one with: swingsnap restore SOURCE --state-dir <dir> --replace',
  });
}
