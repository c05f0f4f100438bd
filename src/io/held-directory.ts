/**
 * Directories that are held by a descriptor. Where others may write to the directory above, a path may lead elsewhere a
 * moment after it was looked at; a descriptor goes on to mean the directory that was opened.
 */
import {
  closeSync,
  constants,
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
   * A path into the directory itself, wherever it is by now, for calls of this process and its threads; elsewhere than
   * on Linux, and once it is closed, its location.
   */
  get path(): string {
    return (this.#isOpen ? pathOfDescriptor(this.fd) : undefined) ?? this.location;
  }

  get stat(): Stats {
    return fstatSync(this.fd);
  }

  /** Whether the path by which it was opened still leads to it. */
  isInPlace(): boolean {
    const found = lstatSync(this.#openedAs, { throwIfNoEntry: false });
    return found !== undefined && isSame(found, this.stat);
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
    for (const name of names) this.#removeTree(join(this.path, name));
    if (last !== undefined) this.#removeTree(join(this.path, last));
  }

  #removeTree(path: string): void {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (!found.isDirectory()) {
      ifThere(() => {
        unlinkSync(path);
      });
      return;
    }
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

  /** May be called again. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.fd);
  }
}

/** Whether both are the same file or directory. */
export function isSame(a: Pick<Stats, 'dev' | 'ino'>, b: Pick<Stats, 'dev' | 'ino'>): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

function ifThere(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
