/**
 * Work directories: temporary directories with mode 0700. Each contains a lock file that is locked as long as its
 * process lives. The next run of the same user recognises what a killed run has left by its name and its free lock,
 * and removes it.
 *
 * The lock is flock(2) on a file, which other machines with the same NFS mount see too. The file contains text, since
 * version 0.1.0 takes an empty lock file, if SQLite sees no lock on it, for a leftover of a dead run.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  opendirSync,
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
/** How many times other processes, which clean up, may remove a new directory before we give up. */
const ATTEMPTS = 10;
const NAMES_AT_ONCE = 1024;

/** Saves what must not be removed from the leftovers of a dead run. */
export type Rescue = (left: Pick<HeldDirectory, 'path' | 'location'>) => void;

export class WorkDirectory {
  readonly #held: HeldDirectory;
  readonly #lock: number;
  #isEnded = false;

  private constructor(held: HeldDirectory, lock: number) {
    this.#held = held;
    this.#lock = lock;
  }

  /**
   * Makes `<parent>/<prefix><id>`, and removes leftovers of the same kind.
   * @param prefix starts with a dot and names the kind
   * @param kind matches the names of its kind, if one prefix is not enough
   * @throws {StorageError} `WORK_DIRECTORY` if another user has put something else in its place; `LOCK_UNAVAILABLE`
   */
  static make(
    parent: string,
    prefix: string,
    kind = namesOf(prefix),
    rescue?: Rescue,
  ): WorkDirectory {
    removeLeftovers(parent, kind, rescue);
    return WorkDirectory.makeBeside(parent, prefix);
  }

  /** As {@link make}, but leaves leftovers where they are. */
  static makeBeside(parent: string, prefix: string): WorkDirectory {
    return makeAgain(parent, prefix, (held, lock) => {
      // Another process that cleans up may have locked or removed it.
      if (!tryFlock(lock, 'exclusive', held.location)) return undefined;
      writeSync(lock, LOCK_TEXT);
      return isStillIn(held, lock) ? new WorkDirectory(held, lock) : undefined;
    });
  }

  /**
   * A path to the directory, for this process and its threads. Changes of the names above the directory do not affect
   * it.
   */
  get path(): string {
    return this.#held.path;
  }

  /** Its path by name, for messages and other processes. */
  get location(): string {
    return this.#held.location;
  }

  /** Removes it with its content; may be called again. */
  remove(): void {
    if (this.#isEnded) return;
    removeHeld(this.#held);
    this.#end();
  }

  /** Leaves it with its content, as a killed process would. */
  leave(): void {
    if (!this.#isEnded) this.#end();
  }

  #end(): void {
    this.#isEnded = true;
    closeSync(this.#lock);
    this.#held.close();
  }
}

/**
 * Gives `use` a work directory for files that need a name only for a moment. It is not locked, since that would cost
 * more than most uses. If another process that cleans up removes it meanwhile, `use` is called again with a new one.
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

/** Makes directories with a lock file until `begin` accepts one; `begin` then has to close both. */
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
  throw displaced(path, 'another process keeps removing it');
}

/** @returns undefined if another process that cleans up has removed the directory meanwhile */
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
  // Some file systems assign another owner, or modes that cannot be chosen: then file and directory both have them.
  const isOurs = directory.uid === file.uid;
  const isPrivate = (directory.mode & 0o077) === 0 || (file.mode & 0o077) !== 0;
  if (isOurs && isPrivate) return lock;
  closeSync(lock);
  unlinkSync(path);
  throw displaced(held.location, `a directory of user ${directory.uid}`);
}

function displaced(path: string, found: string): StorageError {
  return new StorageError(
    'WORK_DIRECTORY',
    'a new directory was removed or replaced by another process',
    {
      path,
      found,
      hint: 'check which other users write to its parent directory, or name another place',
    },
  );
}

/** Matches the names of work directories whose prefix matches. */
export function namesOf(prefix: string): RegExp {
  return new RegExp(`^${prefix.replaceAll('.', '\\.')}[0-9a-f]{12}$`, 'u');
}

/**
 * Removes the work directories of one kind in `parent` whose process is dead: directories of this user that contain a
 * lock file. Entries with such a name by chance, symlinks, and directories that other users may write to stay.
 * @param rescue if it throws, the directory stays
 */
export function removeLeftovers(parent: string, kind: RegExp, rescue?: Rescue): void {
  // The names are not gathered: there may be a million other things.
  const entries = opendirSync(parent, { bufferSize: NAMES_AT_ONCE });
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      if (!kind.test(entry.name)) continue;
      try {
        removeIfDead(join(parent, entry.name), rescue);
      } catch {
        // Another process is removing it, or its content cannot be removed.
      }
    }
  } finally {
    entries.closeSync();
  }
}

/**
 * Removes the work directory at `path`, if its process is dead. What {@link removeLeftovers} would not remove stays.
 * @param rescue if it throws, the directory stays
 */
export function removeIfDead(path: string, rescue?: Rescue): void {
  inLeftover(path, (held, lock) => {
    if (lock === undefined) {
      removeEmpty(held);
    } else if (holderOf(held, lock) === 'ended process') {
      rescue?.(held);
      removeHeld(held);
    }
  });
}

/** What is known of a work directory without changing it. */
export interface Leftover {
  /** When something in it last changed. */
  readonly changed: Date;
  /** Bytes of its files. */
  readonly size: number;
  readonly holder: 'process' | 'ended process' | 'other user';
}

/**
 * Looks at the work directory at `path`.
 * @returns undefined if there is none: another directory may have such a name by chance
 * @throws system errors
 */
export function lookAtLeftover(path: string): Leftover | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) return undefined;
  if (!isOurs(found)) return { changed: found.mtime, size: 0, holder: 'other user' };
  return inLeftover(path, (held, lock) => {
    const content = contentOf(held);
    if (lock === undefined) {
      const isEmpty = readdirSync(held.path).length === 0;
      return isEmpty ? { ...content, holder: 'ended process' } : undefined;
    }
    const holder = holderOf(held, lock);
    return holder && { ...content, holder };
  });
}

/** The bytes of all files in a directory, and when the last of them, or the directory, was changed. */
function contentOf(held: HeldDirectory): Pick<Leftover, 'changed' | 'size'> {
  let changed = held.stat.mtime;
  let size = 0;
  for (const name of readdirSync(held.path)) {
    const found = lstatSync(held.at(name), { throwIfNoEntry: false });
    if (found === undefined) continue;
    let inner = { changed: found.mtime, size: found.isFile() ? found.size : 0 };
    if (found.isDirectory()) {
      const directory = held.openInside(name);
      try {
        inner = contentOf(directory);
      } finally {
        directory.close();
      }
    }
    if (inner.changed > changed) changed = inner.changed;
    size += inner.size;
  }
  return { changed, size };
}

/** Opens a directory of ours and its lock file. What another user has put there is not opened. */
function inLeftover<Result>(
  path: string,
  look: (held: HeldDirectory, lock: number | undefined) => Result,
): Result | undefined {
  // Checked before it is opened: an entry of another user may be anything.
  if (!isOurs(lstatSync(path))) return undefined;
  const held = HeldDirectory.open(path);
  try {
    if (!isOurs(held.stat)) return undefined;
    const lock = openLock(held);
    try {
      return look(held, lock);
    } finally {
      if (lock !== undefined) closeSync(lock);
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

/** Takes the lock, which closing `lock` releases. @returns undefined if it is not a lock file of ours */
function holderOf(held: HeldDirectory, lock: number): 'process' | 'ended process' | undefined {
  const file = fstatSync(lock);
  if (!file.isFile() || file.nlink !== 1 || file.size > LOCK_TEXT.length) return undefined;
  if (!tryFlock(lock, 'exclusive', held.location)) return 'process';
  const text = readFileSync(lock, 'utf8');
  if (text === LOCK_TEXT) return 'ended process';
  if (text !== '') return undefined;
  // An empty file may be locked by version 0.1.0 through SQLite, which flock does not see, or left by an early kill.
  return isOpenElsewhere(file) === false ? 'ended process' : 'process';
}

function isStillIn(held: HeldDirectory, lock: number): boolean {
  const found = lstatSync(join(held.path, LOCK_FILE), { throwIfNoEntry: false });
  return found !== undefined && isSame(found, fstatSync(lock));
}

/** Removes the lock file last: the next run recognises the rest of an interrupted removal. */
function removeHeld(held: HeldDirectory): void {
  held.empty(LOCK_FILE);
  removeEmpty(held);
}

/** A directory without lock file is being made or removed. It may be removed if empty: a live maker makes another. */
function removeEmpty(held: HeldDirectory): void {
  try {
    held.remove();
  } catch {
    // It is not empty after all, belongs to another process, or is gone.
  }
}
