/**
 * Locks on directories. The kernel keeps them: the holder of a lock is alive, and a dead process leaves nothing to
 * clean up. A lock is flock(2) on a descriptor of the directory itself. So there is no lock file that another user
 * could create first, and every process sees the lock, whatever path, mount or container it reaches the directory by.
 */
import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs';
import { StorageError } from '../../errors.ts';
import { tryFlock, type LockKind } from './flock.ts';

/** Other processes take the lock briefly to check it. One that stays taken this long, in milliseconds, is held. */
const PATIENCE_MS = 300;
const PAUSE_MS = 20;

export class DirectoryLock {
  readonly #fd: number;
  /** Of the directory. */
  readonly stat: Stats;
  #isHeld = true;

  private constructor(fd: number) {
    this.#fd = fd;
    this.stat = fstatSync(fd);
  }

  /**
   * Takes the lock on the directory at `dir`.
   * @returns undefined if another process, or another lock of this process, holds it
   * @throws {StorageError} `LOCK_UNAVAILABLE`; system errors if it is not a directory
   */
  static tryTake(dir: string): DirectoryLock | undefined {
    const fd = openDirectory(dir);
    try {
      const end = performance.now() + PATIENCE_MS;
      do {
        if (tryFlock(fd, 'exclusive', dir)) return new DirectoryLock(fd);
        sleepSync(PAUSE_MS);
      } while (performance.now() < end);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
    return undefined;
  }

  /** Whether the directory at `dir` is locked. Does not disturb concurrent checks. Throws as {@link tryTake}. */
  static isHeldAt(dir: string): boolean {
    const looking: LockKind = 'shared';
    const fd = openDirectory(dir);
    try {
      return !tryFlock(fd, looking, dir);
    } finally {
      closeSync(fd);
    }
  }

  /** Releases the lock; may be called again. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    closeSync(this.#fd);
  }
}

function openDirectory(dir: string): number {
  try {
    return openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EACCES') throw cause;
    throw new StorageError('LOCK_UNAVAILABLE', 'cannot lock the directory', {
      path: dir,
      expected: 'permission to read the directory',
      hint: 'run as a user that may read it',
      cause,
    });
  }
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
