/**
 * Locks that the kernel keeps: whoever holds one is alive, and nobody has to clean up after the dead. A lock is an
 * open `BEGIN IMMEDIATE` on a tiny SQLite file, which is an fcntl(2) lock underneath: it ends with its process, also
 * with SIGKILL, and is seen by every process on the file system, in whatever container.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lstatSync,
  mkdirSync,
  openSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { StorageError } from '../errors.ts';
import { openDatabase, type Database } from './sqlite.ts';

/** Others only look for moments, so a lock that stays taken this long, in milliseconds, is held. */
const PATIENCE_MS = 300;
/** The same for somebody who only looks. */
const LOOK_PATIENCE_MS = 20;

export class KernelLock {
  /** Owned here: better-sqlite3 closes a handle that nothing references, and the lock with it. */
  readonly #db: Database;

  private constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Takes the lock at `path`, whose file is made if it is missing (never its directory).
   * @param patience milliseconds that somebody else may go on holding it
   * @returns undefined if somebody else holds it
   * @throws {StorageError} `LOCK_FILE` if a link, or anything else but a file, is there
   */
  static tryAcquire(path: string, patience = PATIENCE_MS): KernelLock | undefined {
    // SQLite would follow a link, and make what it leads to: it is only given files that are there. It also opens them
    // without O_CREAT then, which a sticky directory refuses for the files of others.
    if (!isLockFile(path)) makeLockFile(path);
    const db = openDatabase(path, { timeout: patience, fileMustExist: true });
    try {
      // With a journal of its own in a sticky directory, one user's dead would keep all others from the lock.
      db.pragma('journal_mode = MEMORY');
      db.exec('BEGIN IMMEDIATE');
      return new KernelLock(db);
    } catch (error) {
      db.close();
      const code = (error as { code?: unknown }).code;
      if (typeof code === 'string' && code.startsWith('SQLITE_BUSY')) return undefined;
      throw error;
    }
  }

  /** Whether somebody holds the lock at `path`; false where there is none. Throws as {@link tryAcquire}. */
  static isHeldAt(path: string): boolean {
    if (!isLockFile(path)) return false;
    const lock = KernelLock.tryAcquire(path, LOOK_PATIENCE_MS);
    lock?.release();
    return lock === undefined;
  }

  get isHeld(): boolean {
    return this.#db.open;
  }

  /** Gives it up; may be called again. The file stays, since another may be waiting on it. */
  release(): void {
    if (this.#db.open) this.#db.close();
  }
}

/** @returns false if nothing is there; throws `LOCK_FILE` for what is no file */
function isLockFile(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  if (stat.isFile()) return true;
  throw new StorageError('LOCK_FILE', 'what should be a lock file is none', {
    path,
    expected: 'a file',
    found: stat.isSymbolicLink() ? 'a symbolic link' : 'something else',
    hint: 'find out who has put it there, and remove it',
  });
}

/** Others may make it at the same moment: theirs will do. */
function makeLockFile(path: string): void {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
  let fd: number;
  try {
    fd = openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && isLockFile(path)) return;
    throw error;
  }
  try {
    // Whatever the umask: other users take the same lock.
    fchmodSync(fd, 0o666);
  } finally {
    closeSync(fd);
  }
}

/** Makes a directory for lock files that every user of the machine may use; one that is there stays as it is. */
export function makeLockDirectory(dir: string): void {
  if (lstatSync(dir, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(dirname(dir), { recursive: true });
  try {
    mkdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  changeDirectory(dir, (fd) => {
    fchmodSync(fd, 0o1777);
  });
}

/** Makes a lock directory root's, so that it is trusted by all users; the locks in it stay what they are. */
export function adoptLockDirectory(dir: string): void {
  changeDirectory(dir, (fd) => {
    fchownSync(fd, 0, 0);
    fchmodSync(fd, 0o1777);
  });
}

function changeDirectory(dir: string, change: (fd: number) => void): void {
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    change(fd);
  } finally {
    closeSync(fd);
  }
}
