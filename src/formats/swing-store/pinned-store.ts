/**
 * A SwingStore's database, opened for reading and pinned at one commit, without changing a byte of it.
 */
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import {
  BusyError,
  NotFoundError,
  StorageError,
  SwingSnapError,
  VerificationError,
} from '../../errors.ts';
import { copyStore, type CopiedStore } from './copied-store.ts';
import { KVReaders } from './kv-readers.ts';
import { databasePath } from './layout.ts';
import { isDatabaseLocked } from './open-handles.ts';
import { statIfThere } from '../../io/stat-if-there.ts';
import { openDatabase, type Database } from '../../io/sqlite.ts';

export interface PinOptions {
  /** The height that the store must be at. */
  readonly height?: number | undefined;
  /** Where a store that cannot be opened in place is copied to. */
  readonly scratchDir: string;
  /** Told, as one line each, what an operator should know. */
  readonly note: (message: string) => void;
}

/**
 * A read transaction on a SwingStore. SQLite pins a view at the first read, so `host.height` is that read. The
 * object owns the database handle: better-sqlite3 closes a handle that nothing references.
 */
export class PinnedStore {
  readonly stateDir: string;
  readonly db: Database;
  /** Inode of the database file when it was opened. */
  readonly inode: number;
  #height: number;
  #commits: CommitWatch;
  #readers: KVReaders | undefined;
  readonly #copy: CopiedStore | undefined;
  readonly #note: (message: string) => void;

  private constructor(
    stateDir: string,
    { db, commits }: Pin,
    height: number,
    copy: CopiedStore | undefined,
    note: (message: string) => void,
  ) {
    this.stateDir = stateDir;
    this.db = db;
    this.inode = statSync(databasePath(stateDir)).ino;
    this.#height = height;
    this.#commits = commits;
    this.#copy = copy;
    this.#note = note;
  }

  /**
   * Opens and pins the store in `stateDir`. A store that SQLite cannot open there without writing (it must make a
   * `-shm` file in the directory, or roll a journal back) is copied to the scratch directory first, which is said.
   * @throws {NotFoundError} `STORE_MISSING`
   * @throws {StorageError} `STORE_UNREADABLE`
   * @throws {BusyError} `STORE_LOCKED` if a process keeps every reader out
   * @throws {VerificationError} `NOT_A_STORE`
   * @throws {SwingSnapError} `HEIGHT` if it is at another height than asked; `STORE_REPLACED`
   */
  static async open(stateDir: string, options: PinOptions): Promise<PinnedStore> {
    const path = databasePath(stateDir);
    refuseUnreadable(path);
    const inPlace = tryPin(path);
    if (!(inPlace instanceof Error))
      return PinnedStore.#checked(stateDir, inPlace, undefined, options);

    const { scratchDir, note } = options;
    const copy = await copyStore(stateDir, scratchDir, note, hasJournal(inPlace));
    try {
      // Writable, since a copied journal is rolled back by whoever opens its database first.
      const pinned = tryPin(copy.databasePath, { reportedAs: path, readonly: false });
      if (pinned instanceof Error) {
        throw new StorageError('STORE_UNREADABLE', 'cannot open the SwingStore', {
          path,
          found: pinned.message,
          cause: pinned,
        });
      }
      return PinnedStore.#checked(stateDir, pinned, copy, options);
    } catch (error) {
      copy.remove();
      throw error;
    }
  }

  static #checked(
    stateDir: string,
    pin: Pin,
    copy: CopiedStore | undefined,
    options: PinOptions,
  ): PinnedStore {
    try {
      const height = heightOf(pin.rawHeight, stateDir);
      if (options.height !== undefined && height !== options.height) {
        throw new SwingSnapError('HEIGHT', 'the SwingStore is at another height', {
          path: databasePath(stateDir),
          expected: options.height,
          found: height,
          hint: 'leave out --height, or name the height that the store is at',
        });
      }
      return new PinnedStore(stateDir, pin, height, copy, options.note);
    } catch (error) {
      pin.commits.close();
      pin.db.close();
      throw error;
    }
  }

  /** Height of the commit that is pinned, or was last. */
  get height(): number {
    return this.#height;
  }

  /** Whether this is a scratch copy, which no node writes to. */
  get isCopy(): boolean {
    return this.#copy !== undefined;
  }

  /** A number that changes when somebody commits; while pinned, that of the pinned commit. */
  dataVersion(): unknown {
    return this.db.pragma('data_version', { simple: true });
  }

  /** Lets go of the view, so that the node's `-wal` may shrink. */
  unpin(): void {
    this.db.exec('ROLLBACK');
  }

  /** Pins the newest commit. */
  pin(): void {
    this.#commits.begin();
    this.#height = heightOf(beginAtHeight(this.db), this.stateDir);
  }

  /**
   * Starts threads that read the pinned commit too. There are none if somebody has committed since it was pinned,
   * since nobody else can pin that commit any more; and none when this is run from the sources, which threads cannot load.
   */
  async startReaders(count: number): Promise<void> {
    if (import.meta.url.endsWith('.ts')) return;
    const readers = await KVReaders.start(
      this.#copy?.databasePath ?? databasePath(this.stateDir),
      count,
    );
    if (this.#commits.sinceBegin()) await readers.close();
    else this.#readers = readers;
  }

  /** Those that {@link startReaders} has started. */
  get readers(): KVReaders | undefined {
    return this.#readers;
  }

  /** Bytes of the database's `-wal`, which cannot shrink while we hold a view. */
  walBytes(): number {
    const path = `${databasePath(this.stateDir)}-wal`;
    return statIfThere(path)?.size ?? 0;
  }

  async close(): Promise<void> {
    if (!this.db.open) return;
    await this.#readers?.close();
    this.#commits.close();
    if (this.db.inTransaction) this.db.exec('ROLLBACK');
    this.db.close();
    this.#copy?.remove();
    if (this.#copy === undefined) this.#tellOfWal();
  }

  /** A reader cannot empty the `-wal`, as the last handle of a node would have done. */
  #tellOfWal(): void {
    const path = databasePath(this.stateDir);
    const real = statIfThere(path) && realpathSync(path);
    if (real === undefined || isDatabaseLocked(real)) return;
    const wal = statIfThere(`${real}-wal`);
    if (wal === undefined || wal.size === 0) return;
    this.#note(
      `swingstore.sqlite-wal holds ${String(wal.size)} bytes of commits, and no process has the store open: ` +
        `whoever copies swingstore.sqlite must copy it too`,
    );
  }
}

/** Knows whether anybody has committed, by a connection that pins nothing. */
class CommitWatch {
  readonly #db: Database;
  #version: unknown;

  constructor(path: string, readonly: boolean) {
    this.#db = openDatabase(path, { readonly, fileMustExist: true });
  }

  /** To be called before a view is pinned. */
  begin(): void {
    this.#version = this.#now();
  }

  /** Whether there was a commit since {@link begin}, so that a view pinned now might be another. */
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

interface Pin {
  readonly db: Database;
  readonly commits: CommitWatch;
  readonly rawHeight: unknown;
}

function refuseUnreadable(path: string): void {
  const stat = statIfThere(path);
  if (stat?.isFile() !== true) {
    throw new NotFoundError('STORE_MISSING', 'no SwingStore there', {
      path,
      hint: 'name the directory that holds swingstore.sqlite with --state-dir, or the node with --home',
    });
  }
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new StorageError('STORE_UNREADABLE', 'no right to read the SwingStore', {
      path,
      hint: 'run as the user that owns the node, or ask for read rights',
      cause,
    });
  }
  // SQLite, even as a reader, deletes the -wal and the -journal beside a database file of no bytes.
  if (stat.size === 0) throw notAStore(path, 'an empty file');
}

function replaced(path: string): SwingSnapError {
  return new SwingSnapError('STORE_REPLACED', 'the SwingStore was replaced while it was opened', {
    path,
    hint: 'run it again',
  });
}

function notAStore(path: string, found: string, cause?: unknown): VerificationError {
  return new VerificationError('NOT_A_STORE', 'not a SwingStore', {
    path,
    expected: 'a SQLite database with the tables of a SwingStore',
    found,
    hint: 'name another with --state-dir, or bring one back with: swingsnap restore SOURCE --state-dir <dir> --replace',
    cause,
  });
}

// What SQLite says when it cannot make or use the -shm, or would have to recover a journal it may not write.
const CANNOT_OPEN_IN_PLACE = /^SQLITE_(CANTOPEN|READONLY|PERM)/u;
const NO_STORE = /^SQLITE_(ERROR|CORRUPT|NOTADB|FORMAT|SCHEMA)/u;

function hasJournal(error: Error): boolean {
  return (error as { code?: unknown }).code === 'SQLITE_READONLY_ROLLBACK';
}

/** Pins the database, or gives back the error of one that can only be opened as a copy. */
function tryPin(path: string, { reportedAs = path, readonly = true } = {}): Pin | Error {
  let db: Database | undefined;
  let commits: CommitWatch | undefined;
  try {
    const { ino } = statSync(path);
    db = openDatabase(path, { readonly, fileMustExist: true });
    commits = new CommitWatch(path, readonly);
    commits.begin();
    const rawHeight = beginAtHeight(db);
    // SQLite finds the -wal by name, at the first read: beside another database it would be none, or another's.
    if (statIfThere(path)?.ino !== ino) throw replaced(reportedAs);
    for (const table of ['snapshots', 'transcriptSpans', 'transcriptItems', 'bundles']) {
      db.prepare(`SELECT 1 FROM ${table}`);
    }
    return { db, commits, rawHeight };
  } catch (error) {
    commits?.close();
    db?.close();
    const code = (error as { code?: unknown }).code;
    if (!(error instanceof Error) || typeof code !== 'string') throw error;
    if (CANNOT_OPEN_IN_PLACE.test(code)) return error;
    if (NO_STORE.test(code)) throw notAStore(reportedAs, error.message, error);
    if (/^SQLITE_(BUSY|LOCKED)/u.test(code)) {
      throw new BusyError('STORE_LOCKED', 'a process has the SwingStore locked', {
        path: reportedAs,
        found: error.message,
        hint: 'run it again when that process is done with the store',
        cause: error,
      });
    }
    throw error;
  }
}

/** Begins a transaction whose first read, which pins the view, is the height. */
function beginAtHeight(db: Database): unknown {
  db.exec('BEGIN');
  return db.prepare(`SELECT value FROM kvStore WHERE key = 'host.height'`).pluck().get();
}

/** The reference's `Number(host.height) || 0`, of which no block height is negative or fractional. */
function heightOf(raw: unknown, stateDir: string): number {
  const height = Number(raw) || 0;
  if (Number.isSafeInteger(height) && height >= 0) return height;
  throw new VerificationError('HEIGHT', 'host.height of the SwingStore is no block height', {
    path: databasePath(stateDir),
    expected: 'a whole number from 0 on',
    found: String(raw),
    hint: 'the store is damaged: bring one back with: swingsnap restore SOURCE --state-dir <dir> --replace',
  });
}
