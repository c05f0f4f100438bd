/**
 * Opens the directory at a path, name by name, to check the symlinks on the way: a user who may write to a directory
 * on the way can make the path lead anywhere, even to places that only we may access.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { StorageError } from '../../errors.ts';
import { hasDescriptors, pathOfDescriptor } from './descriptor-names.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
/** Linux only: with it, a directory on the way need not be readable. Node has no constant for it. */
const O_PATH = 0o10_000_000;
/** The kernel's limit. */
const MAX_LINKS = 40;
const ROOT = 0;

/**
 * Follows symlinks of root and of our own user anywhere, and those of another user only to a directory of that user.
 * On other systems than Linux, follows all symlinks.
 * @returns a descriptor of the directory
 * @throws {StorageError} `FOREIGN_LINK`; system errors
 */
export function reachDirectory(path: string): number {
  if (!hasDescriptors) return openSync(path, O_RDONLY | O_DIRECTORY);
  const [start, ...names] = startOf(resolve(path));
  const way = new Way(start);
  try {
    const fd = way.open(names);
    try {
      way.refuseForeign(fd, path);
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  } finally {
    way.close();
  }
}

/** The start of a path, which may be the descriptor of a held directory, and the names that follow. */
function startOf(path: string): [start: string, ...names: string[]] {
  const held = /^\/proc\/self\/fd\/\d+(?=\/|$)/u.exec(path)?.[0];
  return held === undefined ? ['/', ...namesIn(path)] : [held, ...namesIn(path.slice(held.length))];
}

function namesIn(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

class Way {
  #at: number;
  #links = 0;
  /** Users whose symlinks were followed. */
  readonly #users = new Set<number>();

  constructor(start: string) {
    this.#at = openSync(start, O_PATH | O_DIRECTORY);
  }

  open(names: readonly string[]): number {
    const rest = [...names];
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      const target = this.#linkAt(name);
      if (target === undefined) this.#go(this.#inside(name), O_NOFOLLOW);
      else {
        if (target.startsWith('/')) this.#go('/');
        rest.unshift(...namesIn(target));
      }
    }
    return openSync(this.#inside('.'), O_RDONLY | O_DIRECTORY);
  }

  /** @returns the target of a symlink; undefined if it is not a symlink */
  #linkAt(name: string): string | undefined {
    const path = this.#inside(name);
    const found = lstatSync(path, { bigint: true });
    if (!found.isSymbolicLink()) return undefined;
    const target = readlinkSync(path);
    const after = lstatSync(path, { bigint: true });
    this.#links += 1;
    if (after.ino !== found.ino || after.ctimeNs !== found.ctimeNs || this.#links > MAX_LINKS) {
      throw Object.assign(new Error(`ELOOP: links that change, or too many, '${path}'`), {
        code: 'ELOOP',
        path,
      });
    }
    this.#users.add(Number(found.uid));
    return target;
  }

  #inside(name: string): string {
    return `${pathOfDescriptor(this.#at) ?? ''}/${name}`;
  }

  #go(path: string, flags = 0): void {
    const next = openSync(path, O_PATH | O_DIRECTORY | flags);
    closeSync(this.#at);
    this.#at = next;
  }

  refuseForeign(fd: number, path: string): void {
    const { uid } = fstatSync(fd);
    const foreign = [...this.#users].find(
      (user) => user !== ROOT && user !== process.geteuid?.() && user !== uid,
    );
    if (foreign === undefined) return;
    throw new StorageError('FOREIGN_LINK', 'a symlink leads to a directory of a different owner', {
      path,
      expected: `a directory of user ${foreign}`,
      found: `a directory of user ${uid}`,
      hint: 'check where the symlink leads; if that is the right directory, name it directly',
    });
  }

  close(): void {
    closeSync(this.#at);
  }
}
