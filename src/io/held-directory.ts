/**
 * Directories that are held by descriptor: what is done in one is done in that very directory, whatever another user has
 * put in its place meanwhile. Linux reaches into it by `/proc/self/fd/<n>/<name>`. Where there is no such thing, paths are
 * used, and a directory is compared with what its path leads to before anything in it is removed.
 *
 * What reaches into one: mkdir, rmdir, link, rename, unlink, and open with `O_NOFOLLOW` or `O_EXCL`. None of them follows a
 * link by the last name. SQLite does not: it takes links out of a path itself, and then goes by the name.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  statSync,
  unlinkSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../errors.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

/** What descriptors were opened by, for messages. */
const names = new Map<string, string>();

export class HeldDirectory {
  /** The path that it was opened by, for people. */
  readonly name: string;
  /** Reaches into it. */
  readonly path: string;
  readonly #fd: number;
  #isOpen = true;

  private constructor(name: string, fd: number) {
    this.name = name;
    this.#fd = fd;
    const inside = `/proc/self/fd/${String(fd)}`;
    const isReachable = isSame(statSync(inside, { throwIfNoEntry: false }), fstatSync(fd));
    this.path = isReachable ? inside : name;
    if (isReachable) names.set(inside, name);
  }

  /** Opens the directory that `path` leads to, through whatever links. */
  static open(path: string): HeldDirectory {
    return HeldDirectory.#open(path, path, O_RDONLY | O_DIRECTORY);
  }

  /** Opens a directory in this one, and nothing that a link leads to. */
  child(name: string): HeldDirectory {
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    return HeldDirectory.#open(this.at(name), join(this.name, name), flags);
  }

  static #open(path: string, name: string, flags: number): HeldDirectory {
    const fd = openSync(path, flags);
    try {
      return new HeldDirectory(name, fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** What is called `name` in it. */
  at(name: string): string {
    return join(this.path, name);
  }

  stat(): Stats {
    return fstatSync(this.#fd);
  }

  chmod(mode: number): void {
    fchmodSync(this.#fd, mode);
  }

  chown(uid: number, gid: number): void {
    fchownSync(this.#fd, uid, gid);
  }

  /** Makes the names in it durable. */
  sync(): void {
    fsyncSync(this.#fd);
  }

  /**
   * Removes what is called `name` in it, a directory with all that is below it. Not there is success.
   * @throws {StorageError} `DIRECTORY_MOVED` where this directory can only be reached by its path, and that leads elsewhere
   */
  remove(name: string): void {
    const path = this.at(name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return;
    this.#refuseMoved();
    if (!found.isDirectory()) {
      unlinkSync(path);
      return;
    }
    this.#makeRemovable(path, found);
    const child = this.child(name);
    try {
      child.clear();
    } finally {
      child.close();
    }
    rmdirSync(path);
  }

  /** Removes all that is in it. Throws as {@link remove}. */
  clear(): void {
    for (const name of readdirSync(this.path)) this.remove(name);
  }

  /** Opens a directory of ours that is closed to us, where no other user can exchange it meanwhile. */
  #makeRemovable(path: string, { uid, mode }: Stats): void {
    const user = process.geteuid?.();
    if ((mode & 0o700) === 0o700 || uid !== user || this.stat().uid !== user) return;
    chmodSync(path, 0o700);
  }

  #refuseMoved(): void {
    if (this.path !== this.name) return;
    const found = lstatSync(this.name, { throwIfNoEntry: false });
    if (isSame(found, this.stat())) return;
    throw new StorageError('DIRECTORY_MOVED', 'a directory was exchanged while it was used', {
      path: this.name,
      hint: 'find out who has moved it, and run the command again',
    });
  }

  /** May be called again. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#fd);
  }
}

/** Does the work with the directory that `path` leads to, held. */
export async function inDirectory<Result>(
  path: string,
  work: (directory: HeldDirectory) => Promise<Result>,
): Promise<Result> {
  const directory = HeldDirectory.open(path);
  try {
    return await work(directory);
  } finally {
    directory.close();
  }
}

/** Whether both are the same file or directory. */
export function isSame(
  a: Pick<Stats, 'dev' | 'ino'> | undefined,
  b: Pick<Stats, 'dev' | 'ino'> | undefined,
): boolean {
  return a !== undefined && a.dev === b?.dev && a.ino === b.ino;
}

/** A text of the system, with held directories called by the paths that they were opened by. */
export function withNames(text: string): string {
  return text.replaceAll(/\/proc\/self\/fd\/\d+/gu, (inside) => names.get(inside) ?? inside);
}
