/**
 * Work directories: temporary directories of ours, of mode 0700, each with a lock file in it that is locked for as long
 * as its process lives. What a killed run has left is recognised by its name and its free lock, and removed by the next
 * run of the same user.
 *
 * The lock is flock(2) on a file, which also another machine sees that has the same NFS mounted. In the file are words,
 * since version 0.1.0 takes an empty one whose lock SQLite does not see held for one that a dead run has left.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../../errors.ts';
import { tryFlock } from '../locks/flock.ts';
import { HeldDirectory, isSame } from './held-directory.ts';
import { isOpenElsewhere } from './open-files.ts';
import { othersMayWrite } from './other-users.ts';
import { isMissing } from './system-error.ts';

const LOCK_FILE = '.lock';
const LOCK_TEXT = 'a lock of swingsnap\n';
const LOCK_FLAGS = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Others clean up while one is made: how often that may spoil it. */
const ATTEMPTS = 10;

/** Takes out of what the dead have left what must not go. */
export type Rescue = (left: Pick<HeldDirectory, 'path' | 'location'>) => void;

export class WorkDirectory {
  readonly #held: HeldDirectory;
  readonly #lock: number;
  #isRemoved = false;

  private constructor(held: HeldDirectory, lock: number) {
    this.#held = held;
    this.#lock = lock;
  }

  /**
   * Makes `<parent>/<prefix><id>`, and removes those of its kind that the dead have left.
   * @param prefix starts with a dot and names the kind
   * @param kind matches the names of its kind, where one prefix is not enough
   * @throws {StorageError} `WORK_DIRECTORY` if another user has put something else in its place; `LOCK_UNAVAILABLE`
   */
  static make(
    parent: string,
    prefix: string,
    kind = namesOf(prefix),
    rescue?: Rescue,
  ): WorkDirectory {
    removeLeftovers(parent, kind, rescue);
    return makeAgain(parent, prefix, (held, lock) => {
      // Another who cleans up may have it locked, or gone.
      if (!tryFlock(lock, 'exclusive', held.location)) return undefined;
      writeSync(lock, LOCK_TEXT);
      return isStillIn(held, lock) ? new WorkDirectory(held, lock) : undefined;
    });
  }

  /**
   * A path into the directory, which no change of the names above it leads elsewhere: for calls of this process and
   * its threads.
   */
  get path(): string {
    return this.#held.path;
  }

  /** Its path by name, for messages and for other processes. */
  get location(): string {
    return this.#held.location;
  }

  /** Removes it with all that is in it; may be called again. */
  remove(): void {
    if (this.#isRemoved) return;
    removeHeld(this.#held);
    this.#isRemoved = true;
    closeSync(this.#lock);
    this.#held.close();
  }
}

/**
 * Gives `use` a work directory for what has a name only for a moment. It is not locked, which would cost more than most
 * uses: another who cleans up may remove it meanwhile, and then `use` is called again with a new one.
 */
export function inPassingDirectory<Result>(
  parent: string,
  prefix: string,
  use: (path: string) => Result,
): Result {
  removeLeftovers(parent, namesOf(prefix));
  const { result } = makeAgain(parent, prefix, (held, lock) => {
    writeSync(lock, LOCK_TEXT);
    try {
      const result = use(held.path);
      removeHeld(held);
      closeSync(lock);
      held.close();
      return { result };
    } catch (error) {
      if (isStillIn(held, lock)) throw error;
      return undefined;
    }
  });
  return result;
}

/** Makes directories with a lock file until `begin` begins with one; then it has to close both. */
function makeAgain<Result extends object>(
  parent: string,
  prefix: string,
  begin: (held: HeldDirectory, lock: number) => Result | undefined,
): Result {
  const newPath = (): string => join(parent, prefix + randomBytes(6).toString('hex'));
  let path = newPath();
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1, path = newPath()) {
    mkdirSync(path, { mode: 0o700 });
    const begun = beginIn(path, begin);
    if (begun !== undefined) return begun;
  }
  throw displaced(path, 'another process removes it, again and again');
}

/** @returns undefined if another who cleans up has taken the directory meanwhile */
function beginIn<Result>(
  path: string,
  begin: (held: HeldDirectory, lock: number) => Result | undefined,
): Result | undefined {
  let held: HeldDirectory | undefined;
  let lock: number | undefined;
  try {
    held = HeldDirectory.open(path);
    lock = makeLock(held);
    const begun = begin(held, lock);
    if (begun !== undefined) return begun;
  } catch (error) {
    const wasTaken = lock === undefined && isMissing(error);
    if (!wasTaken) {
      if (lock !== undefined) held?.empty(LOCK_FILE);
      if (held !== undefined) removeEmpty(held);
      release(held, lock);
      throw error;
    }
  }
  release(held, lock);
  return undefined;
}

function release(held: HeldDirectory | undefined, lock: number | undefined): void {
  if (lock !== undefined) closeSync(lock);
  held?.close();
}

/** @throws {StorageError} `WORK_DIRECTORY` if the directory is not the one that we made */
function makeLock(held: HeldDirectory): number {
  const { O_CREAT, O_EXCL } = constants;
  const path = join(held.path, LOCK_FILE);
  const lock = openSync(path, LOCK_FLAGS | O_CREAT | O_EXCL, 0o600);
  const [directory, file] = [held.stat, fstatSync(lock)];
  // On some file systems what one makes has another owner, or modes that cannot be chosen: then both have.
  const isOurs = directory.uid === file.uid;
  const isPrivate = (directory.mode & 0o077) === 0 || (file.mode & 0o077) !== 0;
  if (isOurs && isPrivate) return lock;
  closeSync(lock);
  unlinkSync(path);
  throw displaced(held.location, `a directory of user ${directory.uid}`);
}

function displaced(path: string, found: string): StorageError {
  return new StorageError('WORK_DIRECTORY', 'a directory that was just made is not there', {
    path,
    found,
    hint: 'find out who else writes to the directory above it, or name another place',
  });
}

/** Matches the names of work directories whose prefix matches. */
export function namesOf(prefix: string): RegExp {
  return new RegExp(`^${prefix.replaceAll('.', '\\.')}[0-9a-f]{12}$`, 'u');
}

/**
 * Removes the work directories of one kind in `parent` whose process is gone: directories of this user with a lock
 * file in them. What has such a name by chance, or leads elsewhere, or can be written to by another user, stays.
 * @param rescue where it throws, the directory stays
 */
export function removeLeftovers(parent: string, kind: RegExp, rescue?: Rescue): void {
  for (const name of readdirSync(parent)) {
    if (!kind.test(name)) continue;
    try {
      removeIfDead(join(parent, name), rescue);
    } catch {
      // Another is removing it, or what is in it cannot go.
    }
  }
}

function removeIfDead(path: string, rescue: Rescue | undefined): void {
  // Looked at before it is opened: what is not ours may be anything.
  if (!isOurs(lstatSync(path))) return;
  const held = HeldDirectory.open(path);
  try {
    if (!isOurs(held.stat)) return;
    const lock = openLock(held);
    if (lock === undefined) {
      removeEmpty(held);
      return;
    }
    try {
      if (!isLockOfTheDead(held, lock)) return;
      rescue?.(held);
      removeHeld(held);
    } finally {
      closeSync(lock);
    }
  } finally {
    held.close();
  }
}

function isOurs(found: Stats): boolean {
  return found.isDirectory() && found.uid === process.geteuid?.() && !othersMayWrite(found);
}

function openLock(held: HeldDirectory): number | undefined {
  try {
    return openSync(join(held.path, LOCK_FILE), LOCK_FLAGS);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Takes the lock, which is let go with `lock`, and looks whether it is one of ours that no process needs any more. */
function isLockOfTheDead(held: HeldDirectory, lock: number): boolean {
  const file = fstatSync(lock);
  if (!file.isFile() || file.nlink !== 1 || file.size > LOCK_TEXT.length) return false;
  if (!tryFlock(lock, 'exclusive', held.location)) return false;
  const text = readFileSync(lock, 'utf8');
  if (text === LOCK_TEXT) return true;
  // Version 0.1.0 locks by SQLite what we would see free, and a run that was killed early has written nothing yet.
  return text === '' && isOpenElsewhere(file) === false;
}

function isStillIn(held: HeldDirectory, lock: number): boolean {
  const found = lstatSync(join(held.path, LOCK_FILE), { throwIfNoEntry: false });
  return found !== undefined && isSame(found, fstatSync(lock));
}

/** The lock goes last: a removal that is cut short leaves what the next run recognises. */
function removeHeld(held: HeldDirectory): void {
  held.empty(LOCK_FILE);
  removeEmpty(held);
}

/** Without a lock it is just being made or just gone. An empty one may go: its maker, if alive, makes another. */
function removeEmpty(held: HeldDirectory): void {
  try {
    held.remove();
  } catch {
    // It is not empty after all, another's, or gone.
  }
}
