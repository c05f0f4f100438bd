/**
 * Work directories: temporary directories of ours, each with a lock in it for as long as its process lives. What a
 * killed run has left is recognised by its name and its free lock, and removed by the next run.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KernelLock } from './kernel-lock.ts';

const LOCK_FILE = '.lock';

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
   */
  static make(parent: string, prefix: string, kind = namesOf(prefix)): WorkDirectory {
    removeLeftovers(parent, kind);
    const path = join(parent, prefix + randomBytes(6).toString('hex'));
    mkdirSync(path);
    const lock = KernelLock.tryAcquire(join(path, LOCK_FILE));
    if (lock === undefined) throw new Error(`a new directory is locked: ${path}`);
    return new WorkDirectory(path, lock);
  }

  /** Removes it with all that is in it; may be called again. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
    this.#lock.release();
  }
}

/** Matches the names of work directories whose prefix matches. */
export function namesOf(prefix: string): RegExp {
  return new RegExp(`^${prefix.replaceAll('.', '\\.')}[0-9a-f]{12}$`, 'u');
}

/** Removes the work directories of one kind in `parent` whose process is gone. */
function removeLeftovers(parent: string, kind: RegExp): void {
  for (const name of readdirSync(parent)) {
    if (!kind.test(name)) continue;
    const path = join(parent, name);
    // Without a lock file it is just being made, or was emptied by hand: either way it is not known to be dead.
    if (!existsSync(join(path, LOCK_FILE))) continue;
    const lock = KernelLock.tryAcquire(join(path, LOCK_FILE));
    if (lock === undefined) continue;
    rmSync(path, { recursive: true, force: true });
    lock.release();
  }
}
