/**
 * Work directories: temporary directories of ours, each with a lock in it for as long as its process lives. What a
 * killed run has left is recognised by its name and its free lock, and removed by the next run.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KernelLock } from './kernel-lock.ts';

const LOCK_FILE = '.lock';
/** Others clean up while one is made: how often that may spoil it. */
const ATTEMPTS = 10;

export class WorkDirectory {
  readonly path: string;
  readonly #lock: KernelLock;

  private constructor(path: string, lock: KernelLock) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes `<parent>/<prefix><id>`, and removes those of its kind that the dead have left.
   * @param prefix starts with a dot and names the kind
   * @param kind matches the names of its kind, where one prefix is not enough
   * @param rescue takes out of what the dead have left, given by its path, what must not go
   */
  static make(
    parent: string,
    prefix: string,
    kind = namesOf(prefix),
    rescue?: (path: string) => void,
  ): WorkDirectory {
    removeLeftovers(parent, kind, rescue);
    for (let attempt = 1; ; attempt += 1) {
      const path = join(parent, prefix + randomBytes(6).toString('hex'));
      mkdirSync(path);
      try {
        const lock = lockNew(path);
        if (lock !== undefined) return new WorkDirectory(path, lock);
      } catch (error) {
        removeLocked(path);
        if (attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Removes it with all that is in it; may be called again. */
  remove(): void {
    removeLocked(this.path);
    this.#lock.release();
  }
}

/** Matches the names of work directories whose prefix matches. */
export function namesOf(prefix: string): RegExp {
  return new RegExp(`^${prefix.replaceAll('.', '\\.')}[0-9a-f]{12}$`, 'u');
}

/**
 * Removes the work directories of one kind in `parent` whose process is gone: directories of this user with a lock
 * file in them. What has such a name by chance, or leads elsewhere, stays.
 * @param rescue as with {@link WorkDirectory.make}; where it throws, the directory stays
 */
export function removeLeftovers(
  parent: string,
  kind: RegExp,
  rescue?: (path: string) => void,
): void {
  for (const name of readdirSync(parent)) {
    if (!kind.test(name)) continue;
    try {
      removeIfDead(join(parent, name), rescue);
    } catch {
      // Somebody else is removing it, or what is in it cannot go.
    }
  }
}

function removeIfDead(path: string, rescue: ((path: string) => void) | undefined): void {
  const directory = lstatSync(path);
  if (!directory.isDirectory() || directory.uid !== process.geteuid?.()) return;
  const file = join(path, LOCK_FILE);
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found === undefined) {
    removeEmpty(path);
    return;
  }
  // Nothing is ever written into a lock: other programs call files `.lock` too.
  if (!found.isFile() || found.size > 0) return;
  const lock = KernelLock.tryAcquire(file, 0);
  if (lock === undefined) return;
  try {
    rescue?.(path);
    removeLocked(path);
  } finally {
    lock.release();
  }
}

/** @returns undefined if somebody who cleaned up took the new directory for one of the dead, and removed it */
function lockNew(path: string): KernelLock | undefined {
  const file = join(path, LOCK_FILE);
  const lock = KernelLock.tryAcquire(file);
  if (lock === undefined || existsSync(file)) return lock;
  lock.release();
  return undefined;
}

/** The lock goes last: a removal that is cut short leaves what the next run recognises. */
function removeLocked(path: string): void {
  if (!existsSync(path)) return;
  for (const name of readdirSync(path)) {
    if (name !== LOCK_FILE) rmSync(join(path, name), { recursive: true, force: true });
  }
  rmSync(join(path, LOCK_FILE), { force: true });
  removeEmpty(path);
}

/** Without a lock it is just being made or just gone. An empty one may go: its maker, if alive, makes another. */
function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is not empty after all, another's, or gone.
  }
}
