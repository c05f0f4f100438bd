/**
 * One operation at a time on a SwingStore, and on an export directory. The lock says that an operation is alive; the
 * notice beside it, which only informs, says which.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import * as v from 'valibot';
import { BusyError } from '../errors.ts';
import { databasePath } from '../formats/swing-store/layout.ts';
import { KernelLock } from '../io/kernel-lock.ts';
import { lockFileOf } from './lock-dir.ts';

const count = v.pipe(v.number(), v.minValue(0));

export const progressSchema = v.object({
  phase: v.string(),
  bytes: count,
  items: count,
  totalBytes: v.optional(count),
  totalItems: v.optional(count),
  /** Milliseconds since the phase began. */
  elapsed: count,
});

/** How far an operation is. */
export type OperationProgress = v.InferOutput<typeof progressSchema>;

const noticeSchema = v.object({
  operation: v.picklist(['export', 'retrieve', 'restore', 'discard']),
  pid: v.number(),
  host: v.string(),
  /** ISO 8601, UTC. */
  since: v.string(),
  stateDir: v.optional(v.string()),
  exportDir: v.optional(v.string()),
  height: v.optional(v.number()),
  /** The height that is waited for. */
  awaitedHeight: v.optional(v.number()),
  progress: v.optional(progressSchema),
});

/** What an operation says of itself, to whom it keeps out. */
export type Notice = v.InferOutput<typeof noticeSchema>;

/** What the caller of {@link lockOperation} knows of the operation. */
export type NoticeFacts = Omit<Notice, 'pid' | 'host' | 'since'>;

interface HeldLock {
  readonly file: string;
  readonly lock: KernelLock;
}

export class OperationLock {
  readonly #held: readonly HeldLock[];
  #notice: Notice;

  constructor(held: readonly HeldLock[], notice: Notice) {
    this.#held = held;
    this.#notice = notice;
    this.#publish();
  }

  /** Changes what the notice says. */
  update(facts: Partial<NoticeFacts>): void {
    this.#notice = { ...this.#notice, ...facts };
    this.#publish();
  }

  #publish(): void {
    for (const { file } of this.#held)
      publishNotice(noticeFile(file), JSON.stringify(this.#notice));
  }

  /** Whether nothing was there to be locked. */
  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** May be called again. */
  release(): void {
    for (const { file, lock } of this.#held) {
      if (lock.isHeld) removeNotice(file);
      lock.release();
    }
  }
}

/** What to lock so that no two operations meet at the store of a state dir, by whatever path either came. */
export function lockedPathsOf(stateDir: string): string[] {
  return [stateDir, databasePath(stateDir)];
}

/**
 * Takes the locks of all `paths` that exist, or none.
 * @throws {BusyError} `BUSY` naming the operation that is in progress
 */
export function lockOperation(paths: readonly string[], facts: NoticeFacts): OperationLock {
  let held: readonly HeldLock[];
  // Whoever held them before may have removed or replaced what the paths name: then these are locks on nothing.
  while (!areOf((held = acquireAll(paths)), paths)) for (const { lock } of held) lock.release();
  const since = new Date().toISOString();
  return new OperationLock(held, { ...facts, pid: process.pid, host: hostname(), since });
}

function acquireAll(paths: readonly string[]): HeldLock[] {
  const held: HeldLock[] = [];
  try {
    for (const path of paths) {
      const file = lockFileOf(path);
      if (file === undefined || held.some((other) => other.file === file)) continue;
      const lock = KernelLock.tryAcquire(file);
      if (lock === undefined) throw busy(path, readNotice(file));
      held.push({ file, lock });
    }
    return held;
  } catch (error) {
    for (const { lock } of held) lock.release();
    throw error;
  }
}

function areOf(held: readonly HeldLock[], paths: readonly string[]): boolean {
  const wanted = new Set(paths.map(lockFileOf).filter((file) => file !== undefined));
  return wanted.size === held.length && held.every(({ file }) => wanted.has(file));
}

/** The operation that holds the lock of `path`; undefined if none does. A holder may have left no notice yet. */
export function operationOn(path: string): Partial<Notice> | undefined {
  const file = lockFileOf(path);
  if (file === undefined || !KernelLock.isHeldAt(file)) return undefined;
  return readNotice(file) ?? {};
}

function noticeFile(lockFile: string): string {
  return lockFile.replace(/\.lock$/u, '.json');
}

function publishNotice(path: string, text: string): void {
  // Nobody can be waiting with a link under a name that he cannot guess.
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    withFile(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, (fd) => {
      writeSync(fd, text);
      fchmodSync(fd, 0o666);
    });
    renameSync(temporary, path);
  } catch {
    rmSync(temporary, { force: true });
    overwriteNotice(path, text);
  }
}

/** In a sticky directory nobody can replace or remove the notice that another user's dead operation has left. */
function overwriteNotice(path: string, text: string): void {
  try {
    withFile(path, constants.O_WRONLY, (fd) => {
      ftruncateSync(fd);
      writeSync(fd, text);
    });
  } catch {
    // It only informs.
  }
}

/** Opens a file in a directory where others may have put links and pipes, which are refused. */
function withFile<T>(path: string, flags: number, use: (fd: number) => T): T {
  const fd = openSync(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o666);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.nlink > 1) throw new Error(`not a plain file: ${path}`);
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function removeNotice(lockFile: string): void {
  try {
    rmSync(noticeFile(lockFile), { force: true });
  } catch {
    // Another user's, then.
  }
}

function readNotice(lockFile: string): Notice | undefined {
  try {
    const text = withFile(noticeFile(lockFile), constants.O_RDONLY, (fd) =>
      readFileSync(fd, 'utf8'),
    );
    return v.parse(noticeSchema, JSON.parse(text));
  } catch {
    return undefined;
  }
}

function busy(path: string, notice: Notice | undefined): BusyError {
  if (notice === undefined) {
    return new BusyError('BUSY', 'another operation is in progress', {
      path,
      hint: 'run it again in a moment, or look with: swingsnap status',
    });
  }
  return new BusyError('BUSY', `${describeNotice(notice)} is in progress`, {
    path: notice.exportDir ?? notice.stateDir ?? path,
    found: `process ${String(notice.pid)} on ${notice.host}, since ${notice.since}`,
    hint: howToEnd(notice),
  });
}

/** The operation in a few words: `export of height 12`. */
export function describeNotice(notice: Partial<Notice>): string {
  const { operation = 'operation', height, awaitedHeight } = notice;
  if (height !== undefined) return `${operation} of height ${String(height)}`;
  if (awaitedHeight !== undefined)
    return `${operation} that waits for height ${String(awaitedHeight)}`;
  return operation;
}

/** The command that ends an operation. */
export function howToEnd({ operation, exportDir, pid }: Partial<Notice>): string {
  if (operation === 'export' && exportDir !== undefined) {
    return `wait for it with: swingsnap retrieve --export-dir ${exportDir} --snapshot-dir <dir>, or end it with: swingsnap discard --export-dir ${exportDir}`;
  }
  return `wait for it, or end it with: kill ${String(pid)}`;
}
