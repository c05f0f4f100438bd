/**
 * Directories that are held by a descriptor. Where others may write to the directory above, a path may lead elsewhere a
 * moment after it was looked at; a descriptor goes on to mean the directory that was opened.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { nameDescriptor, pathOfDescriptor, withShownPaths } from './descriptor-names.ts';
import { reachDirectory } from './reach-directory.ts';
import { isMissing } from './system-error.ts';

export class HeldDirectory {
  readonly fd: number;
  /** Its path by name, for messages and for other processes. */
  readonly location: string;
  /** The path by which it was opened, which may be one into another held directory. */
  readonly #openedAs: string;
  #isOpen = true;

  private constructor(fd: number, openedAs: string) {
    this.fd = fd;
    this.#openedAs = openedAs;
    this.location = withShownPaths(openedAs);
    nameDescriptor(fd, this.location);
  }

  /**
   * Opens the directory at `path`, which is closed by {@link close}, not by the garbage collector.
   * @throws errors of the system: `ENOTDIR` also for a link
   */
  static open(path: string): HeldDirectory {
    const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
    return new HeldDirectory(openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path);
  }

  /**
   * Opens the directory that `path` leads to through links, as {@link open}.
   * @throws {StorageError} `FOREIGN_LINK` as {@link reachDirectory}
   */
  static openLinked(path: string): HeldDirectory {
    return new HeldDirectory(reachDirectory(path), path);
  }

  /** Opens the directory that is called `name` in this one, as {@link open}. */
  openInside(name: string): HeldDirectory {
    return HeldDirectory.open(this.at(name));
  }

  /** What is called `name` in it, as {@link path} reaches it. */
  at(name: string): string {
    return join(this.path, name);
  }

  /**
   * A path into the directory itself, wherever it is by now, for calls of this process and its threads; elsewhere than
   * on Linux, and once it is closed, its location.
   */
  get path(): string {
    return (this.#isOpen ? pathOfDescriptor(this.fd) : undefined) ?? this.location;
  }

  get stat(): Stats {
    return fstatSync(this.fd);
  }

  chmod(mode: number): void {
    fchmodSync(this.fd, mode);
  }

  chown(uid: number, gid: number): void {
    fchownSync(this.fd, uid, gid);
  }

  /** Whether the path by which it was opened still leads to it. */
  isInPlace(): boolean {
    const found = lstatSync(this.#openedAs, { throwIfNoEntry: false });
    return isSame(found, this.stat);
  }

  /** Removes the directory itself, which is empty, unless something else has its name by now. */
  remove(): void {
    if (this.isInPlace()) rmdirSync(this.#openedAs);
  }

  /**
   * Removes all that is in it, whatever others do meanwhile: no link is followed.
   * @param last name of what goes last
   */
  empty(last?: string): void {
    const names = readdirSync(this.path).filter((name) => name !== last);
    for (const name of names) this.discard(name);
    if (last !== undefined) this.discard(last);
  }

  /** Removes what is called `name` in it, a directory with all that is below it, as {@link empty} does. */
  discard(name: string): void {
    // Where it is only known by its path, another may have its name by now.
    if (this.path === this.location && !this.isInPlace()) return;
    const path = this.at(name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (!found.isDirectory()) {
      ifThere(() => {
        unlinkSync(path);
      });
      return;
    }
    this.#makeRemovable(path, found);
    ifThere(() => {
      const inner = HeldDirectory.open(path);
      try {
        inner.empty();
        inner.remove();
      } finally {
        inner.close();
      }
    });
  }

  /** Opens a directory of ours that is closed to us, where no other user can exchange it meanwhile. */
  #makeRemovable(path: string, { uid, mode }: Stats): void {
    const user = process.geteuid?.();
    if ((mode & 0o700) === 0o700 || uid !== user || this.stat.uid !== user) return;
    chmodSync(path, 0o700);
  }

  /** May be called again. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.fd);
  }
}

/** Does the work with the directory that `path` leads to, held. */
export async function inDirectory<Result>(
  path: string,
  work: (directory: HeldDirectory) => Promise<Result>,
): Promise<Result> {
  const directory = HeldDirectory.openLinked(path);
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

function ifThere(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
