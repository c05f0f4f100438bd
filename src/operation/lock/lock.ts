/** Allows one operation at a time on a SwingStore, and on an export directory. */
import { realpathSync, statSync, type Stats } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { BusyError } from '../../errors.ts';
import { databasePath } from '../../formats/swing-store/layout.ts';
import { isSame } from '../../io/files/held-directory.ts';
import { isMissing } from '../../io/files/system-error.ts';
import { DirectoryLock } from '../../io/locks/directory-lock.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { holderOf, type Holder } from './holder.ts';
import { ownNotices, PublishedNotice, type Notice } from './notice.ts';

/** What the caller of {@link lockOperation} knows of the operation. */
export type NoticeFacts = Omit<Notice, 'pid' | 'host' | 'since'>;

export class OperationLock {
  readonly #locks: readonly DirectoryLock[];
  #notices: readonly PublishedNotice[];
  #notice: Notice;

  constructor(locks: readonly DirectoryLock[], notice: Notice) {
    this.#locks = locks;
    this.#notice = notice;
    this.#notices = locks.flatMap(({ stat }) => PublishedNotice.publish(stat, notice) ?? []);
  }

  /** Updates the notice. */
  update(facts: Partial<NoticeFacts>): void {
    this.#notice = { ...this.#notice, ...facts };
    for (const notice of this.#notices) notice.update(this.#notice);
  }

  /** Whether nothing existed that could be locked. */
  get isEmpty(): boolean {
    return this.#locks.length === 0;
  }

  /** May be called again. */
  release(): void {
    for (const notice of this.#notices) notice.remove();
    this.#notices = [];
    for (const lock of this.#locks) lock.release();
  }
}

/**
 * What to lock so that no two operations collide on the store of a state dir, whatever path each uses. For the
 * database, this is the directory that really holds it. The file itself is not opened for a lock: closing any
 * descriptor of it would drop SQLite's own locks on it.
 */
export function lockedPathsOf(stateDir: string): string[] {
  return [stateDir, databasePath(stateDir)];
}

/**
 * Takes the locks of all `paths` that exist, or of none. A directory has its own lock, a file that of its directory.
 * @throws {BusyError} `BUSY` naming the operation that is in progress
 * @throws {StorageError} `LOCK_UNAVAILABLE`
 */
export function lockOperation(paths: readonly string[], facts: NoticeFacts): OperationLock {
  let locks: readonly DirectoryLock[];
  // A previous holder may have removed or replaced what the paths name. Then these locks protect nothing.
  while (!areOf((locks = takeAll(paths)), paths)) for (const lock of locks) lock.release();
  const since = new Date().toISOString();
  return new OperationLock(locks, { ...facts, pid: process.pid, host: hostname(), since });
}

function takeAll(paths: readonly string[]): DirectoryLock[] {
  const locks: DirectoryLock[] = [];
  try {
    for (const { path, dir, stat } of directoriesOf(paths)) {
      const lock = ifThere(() => DirectoryLock.tryTake(dir) ?? 'held');
      if (lock === 'held') throw busy(path, holderOf(stat));
      if (lock !== undefined) locks.push(lock);
    }
    return locks;
  } catch (error) {
    for (const lock of locks) lock.release();
    throw error;
  }
}

function areOf(locks: readonly DirectoryLock[], paths: readonly string[]): boolean {
  const wanted = directoriesOf(paths);
  return (
    wanted.length === locks.length &&
    wanted.every(({ stat }) => locks.some((lock) => isSame(lock.stat, stat)))
  );
}

interface LockedDirectory {
  /** The requested path. */
  readonly path: string;
  readonly dir: string;
  readonly stat: Stats;
}

/** The directories at `paths`, and those that really hold the files there, each once. Skips paths that do not exist. */
function directoriesOf(paths: readonly string[]): LockedDirectory[] {
  const found: LockedDirectory[] = [];
  for (const path of paths) {
    const at = ifThere(() => {
      const real = realpathSync(path);
      const dir = statSync(real).isDirectory() ? real : dirname(real);
      return { path, dir, stat: statSync(dir) };
    });
    if (at !== undefined && !found.some(({ stat }) => isSame(stat, at.stat))) found.push(at);
  }
  return found;
}

function ifThere<Result>(look: () => Result): Result | undefined {
  try {
    return look();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * The operation that holds the lock of one of `paths`, as far as it is known; undefined if none does.
 * @throws {StorageError} `LOCK_UNAVAILABLE`
 */
export function operationOn(...paths: readonly string[]): Holder | undefined {
  const held = directoriesOf(paths).find(({ dir }) => ifThere(() => DirectoryLock.isHeldAt(dir)));
  return held && holderOf(held.stat);
}

/**
 * The export of this user that is to be made in `exportDir`, as the lock of its store tells: it may not have made the
 * directory yet, or its disk may not answer. Does not touch `exportDir`.
 */
export function exportInto(exportDir: string): Holder | undefined {
  for (const notice of ownNotices()) {
    if (notice.exportDir !== exportDir || notice.stateDir === undefined) continue;
    const holder = operationOn(...lockedPathsOf(notice.stateDir));
    if (holder?.operation === 'export' && holder.exportDir === exportDir) return holder;
  }
  return undefined;
}

function busy(path: string, holder: Holder): BusyError {
  return new BusyError('BUSY', `${describeHolder(holder)} is in progress`, {
    path: holder.exportDir ?? holder.stateDir ?? path,
    found: describeProcess(holder),
    hint: howToEnd(holder),
  });
}

/** The operation in a few words: `export of height 12`. */
export function describeHolder({ operation, height, awaitedHeight }: Holder): string {
  const what = operation ?? 'another operation';
  if (height !== undefined) return `${what} of height ${height}`;
  if (awaitedHeight !== undefined) return `${what} that waits for height ${awaitedHeight}`;
  return what;
}

/** Which process it is, and since when. */
export function describeProcess({
  pid,
  uid,
  host,
  since,
}: {
  readonly [Field in 'pid' | 'uid' | 'host' | 'since']?: Holder[Field] | undefined;
}): string {
  if (pid === undefined) return 'a process that this user may not see, or one in another container';
  const user = uid === undefined ? '' : ` of user ${uid}`;
  const start = since === undefined ? '' : `, since ${since}`;
  return `process ${pid}${user} on ${host ?? hostname()}${start}`;
}

/** The command that ends an operation. */
export function howToEnd({ operation, exportDir, pid }: Holder): string {
  if (operation === 'export' && exportDir !== undefined) {
    const dir = shellQuote(exportDir);
    return `wait for it with: swingsnap retrieve --export-dir ${dir} --snapshot-dir <dir>, or end it with: swingsnap discard --export-dir ${dir}`;
  }
  if (pid !== undefined && pid > 1) {
    const look = operation === undefined ? `look at it with: ps -fp ${pid}, ` : '';
    return `wait for it, ${look}or end it with: kill ${pid}`;
  }
  return 'run it again in a moment, or as root, which sees every process, see its progress with: swingsnap status';
}
