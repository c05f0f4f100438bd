/**
 * Locks that the kernel keeps: whoever holds one is alive, and nobody has to clean up after the dead. A lock is an
 * open `BEGIN IMMEDIATE` on a tiny SQLite file, which is an fcntl(2) lock underneath: it ends with its process, also
 * with SIGKILL, and is seen by every process on the file system, in whatever container.
 */
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';

/** Others only look for moments, so a lock that stays taken this long, in milliseconds, is held. */
const PATIENCE_MS = 300;
/** The same for somebody who only looks. */
const LOOK_PATIENCE_MS = 20;

export class KernelLock {
  /** Owned here: better-sqlite3 closes a handle that nothing references, and the lock with it. */
  readonly #db: Database.Database;

  private constructor(db: Database.Database) {
    this.#db = db;
  }

  /**
   * Takes the lock at `path`, whose file is made if it is missing (never its directory).
   * @param patience milliseconds that somebody else may go on holding it
   * @returns undefined if somebody else holds it
   */
  static tryAcquire(path: string, patience = PATIENCE_MS): KernelLock | undefined {
    // Other users take the same lock. An existing file is opened without O_CREAT, which a sticky directory refuses
    // for the files of others.
    const isNew = !existsSync(path);
    const db = new Database(path, { timeout: patience, fileMustExist: !isNew });
    try {
      if (isNew) chmodSync(path, 0o666);
      db.exec('BEGIN IMMEDIATE');
      return new KernelLock(db);
    } catch (error) {
      db.close();
      const code = (error as { code?: unknown }).code;
      if (typeof code === 'string' && code.startsWith('SQLITE_BUSY')) return undefined;
      throw error;
    }
  }

  /** Whether somebody holds the lock at `path`; false where there is none. */
  static isHeldAt(path: string): boolean {
    if (!existsSync(path)) return false;
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

/** Makes a directory for lock files that every user of the machine may use. */
export function makeLockDirectory(dir: string): void {
  if (existsSync(dir)) return;
  mkdirSync(dirname(dir), { recursive: true });
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o1777);
}
