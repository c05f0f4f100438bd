/**
 * Directories held by a descriptor. If others may write to the parent directory, a path may lead elsewhere a moment
 * after it was checked. A descriptor always refers to the directory that was opened.
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
  /** Its path by name, for messages and other processes. */
  readonly location: string;
  /** The path by which it was opened, which may lead through the descriptor of another held directory. */
  readonly #openedAs: string;
  #isOpen = true;

  private constructor(fd: number, openedAs: string) {
    this.fd = fd;
    this.#openedAs = openedAs;
    this.location = withShownPaths(openedAs);
    nameDescriptor(fd, this.location);
  }

  /**
   * Opens the directory at `path`. Only {@link close} closes it, not the garbage collector.
   * @throws system errors; `ENOTDIR` also for a symlink
   */
  static open(path: string): HeldDirectory {
    const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
    return new HeldDirectory(openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path);
  }

  /**
   * Like {@link open}, but follows symlinks.
   * @throws {StorageError} `FOREIGN_LINK` as {@link reachDirectory}
   */
  static openLinked(path: string): HeldDirectory {
    return new HeldDirectory(reachDirectory(path), path);
  }

  /** Opens the subdirectory `name`, as {@link open}. */
  openInside(name: string): HeldDirectory {
    return HeldDirectory.open(this.at(name));
  }

  /** The path of the entry `name`, through {@link path}. */
  at(name: string): string {
    return join(this.path, name);
  }

  /**
   * A path to the directory itself, wherever it has been moved, for this process and its threads. On other systems
   * than Linux, and after {@link close}, it is the location.
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

  /** Removes the directory itself, which must be empty, unless something else has its name now. */
  remove(): void {
    if (this.isInPlace()) rmdirSync(this.#openedAs);
  }

  /**
   * Removes all of its content without following symlinks, whatever others do meanwhile.
   * @param last name of the entry to remove last
   */
  empty(last?: string): void {
    const names = readdirSync(this.path).filter((name) => name !== last);
    for (const name of names) this.discard(name);
    if (last !== undefined) this.discard(last);
  }

  /** Removes the entry `name`, recursively, as {@link empty} does. */
  discard(name: string): void {
    // If it is only known by its path, another directory may have that path now.
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

  /** Adds missing permissions to a directory of ours, if no other user can replace it meanwhile. */
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

/** Holds the directory at `path`, following symlinks, during `work`. */
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
