/**
 * What an operation publishes about itself for the operations that its lock keeps out. A notice only informs: the lock
 * alone shows that an operation is alive. It is a file named for the locked directory, in a directory of its user where
 * no other user can write.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { isSame } from '../../io/files/held-directory.ts';
import { makeWithParents } from '../../io/files/made-directory.ts';
import { othersMayWrite } from '../../io/files/other-users.ts';
import { userStateDir } from '../../io/files/user-state.ts';

const count = v.pipe(v.number(), v.minValue(0));
const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const path = v.pipe(v.string(), v.maxLength(4096));

export const progressSchema = v.object({
  phase: v.pipe(v.string(), v.maxLength(200)),
  bytes: count,
  items: count,
  totalBytes: v.optional(count),
  totalItems: v.optional(count),
  /** Milliseconds since the phase began. */
  elapsed: count,
  /** Of the whole operation; 100 only once it is done. */
  percent: v.optional(v.pipe(count, v.maxValue(100))),
  /** Milliseconds that the rest of the operation takes, an estimate. */
  timeLeft: v.optional(count),
});

/** The progress of an operation. */
export type OperationProgress = v.InferOutput<typeof progressSchema>;

const noticeSchema = v.object({
  operation: v.picklist(['export', 'retrieve', 'restore', 'discard']),
  pid: v.pipe(wholeNumber, v.minValue(1)),
  host: v.pipe(v.string(), v.maxLength(255)),
  /** ISO 8601, UTC. */
  since: v.pipe(v.string(), v.isoTimestamp()),
  stateDir: v.optional(path),
  exportDir: v.optional(path),
  height: v.optional(wholeNumber),
  /** The height that the operation waits for. */
  awaitedHeight: v.optional(wholeNumber),
  progress: v.optional(progressSchema),
});

export type Notice = v.InferOutput<typeof noticeSchema>;

const SUBDIRECTORY = 'operations';
/** Larger than any notice that is written. */
const MAX_BYTES = 32 * 1024;
/** After this time, the notice of a dead operation is useless. */
const KEPT_MS = 30 * 24 * 3600 * 1000;
/** A reader may see a notice that is half rewritten. */
const ATTEMPTS = 3;

type Identity = Pick<Stats, 'dev' | 'ino'>;

/** A notice that is kept up to date. */
export class PublishedNotice {
  readonly #path: string;
  /** Kept open for writing, since the process may have switched to another user's rights meanwhile. */
  readonly #fd: number;
  #size = 0;

  private constructor(file: string, fd: number) {
    this.#path = file;
    this.#fd = fd;
  }

  /**
   * Publishes the notice of the operation that holds the lock on `locked`.
   * @returns undefined if the user has no place for it
   */
  static publish(locked: Identity, notice: Notice): PublishedNotice | undefined {
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    try {
      const stateDir = userStateDir();
      if (stateDir === undefined) return undefined;
      const dir = join(stateDir, SUBDIRECTORY);
      makeWithParents(dir, 0o700);
      removeOld(dir);
      const file = join(dir, nameFor(locked));
      // Any notice found is that of a dead operation: this one holds the lock.
      rmSync(file, { force: true });
      const published = new PublishedNotice(
        file,
        openSync(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600),
      );
      published.update(notice);
      return published;
    } catch {
      return undefined;
    }
  }

  update(notice: Notice): void {
    const text = JSON.stringify(notice);
    // Padded to at least the old size: a reader then finds white space, and not the rest of a longer notice.
    const bytes = Buffer.alloc(Math.max(this.#size, Buffer.byteLength(text)), ' ');
    bytes.write(text);
    try {
      writeSync(this.#fd, bytes, 0, bytes.length, 0);
      this.#size = bytes.length;
    } catch {
      // A notice only informs.
    }
  }

  remove(): void {
    try {
      const found = lstatSync(this.#path, { throwIfNoEntry: false });
      if (found !== undefined && isSame(found, fstatSync(this.#fd))) rmSync(this.#path);
    } catch {
      // A notice is not believed once the lock is free.
    }
    closeSync(this.#fd);
  }
}

function nameFor({ dev, ino }: Identity): string {
  return `${dev}-${ino}.json`;
}

function removeOld(dir: string): void {
  const oldest = Date.now() - KEPT_MS;
  for (const name of readdirSync(dir)) {
    const file = join(dir, name);
    if (lstatSync(file).mtimeMs < oldest) rmSync(file, { force: true });
  }
}

/**
 * Reads the notice for the lock on `locked` from the directory of the user `uid`.
 * @returns undefined if there is none, or another user could have written it
 */
export function readNotice(
  stateDir: string | undefined,
  uid: number,
  locked: Identity,
): Notice | undefined {
  return stateDir === undefined
    ? undefined
    : readAt(join(stateDir, SUBDIRECTORY, nameFor(locked)), uid);
}

function readAt(file: string, uid: number): Notice | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const text = readOwn(file, uid);
    if (text === undefined) return undefined;
    try {
      return v.parse(noticeSchema, JSON.parse(text));
    } catch {
      // Read again.
    }
  }
  return undefined;
}

/** All notices of this user, those of dead operations too. */
export function ownNotices(): Notice[] {
  const uid = process.geteuid?.();
  const stateDir = userStateDir();
  if (stateDir === undefined || uid === undefined) return [];
  const dir = join(stateDir, SUBDIRECTORY);
  return namesIn(dir).flatMap((name) => readAt(join(dir, name), uid) ?? []);
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function readOwn(file: string, uid: number): string | undefined {
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const fd = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      const isPlain = stat.isFile() && stat.nlink === 1 && stat.size <= MAX_BYTES;
      if (!isPlain || stat.uid !== uid || othersMayWrite(stat)) return undefined;
      return readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
