/** Walks a tree of files, in the order of its paths. */
import { isUtf8 } from 'node:buffer';
import { constants, fstatSync, type BigIntStats } from 'node:fs';
import { lstat, open, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { NotFoundError, SwingSnapError, UsageError, VerificationError } from '../../errors.ts';
import { HeldDirectory } from '../../io/files/held-directory.ts';
import { isHeld } from '../../io/files/held-files.ts';
import { systemCode } from '../../io/files/system-error.ts';
import { isTreePath, ROOT } from './layout.ts';

const READ_PIECE_BYTES = 1024 * 1024;

/** A file or directory of a tree, as it was when the walk reached it. */
export interface TreeNode {
  readonly path: string;
  readonly kind: 'file' | 'directory';
  /** Permission bits. */
  readonly mode: number;
  /** Bytes of a file; 0 for a directory. */
  readonly size: number;
  /** The bytes of a file, once. @throws {SwingSnapError} `FILE_CHANGED` if the file has changed */
  readonly read: () => AsyncIterable<Uint8Array>;
}

/**
 * The root and everything below it. Keeps in memory only the names in the directories on the way.
 * @throws {NotFoundError} `FILES_MISSING`; {@link VerificationError} `NOT_A_FILE` for links and special files,
 *   `TREE_PATH` for names that cannot be carried; {@link SwingSnapError} `FILE_CHANGED` if the tree changes during
 *   the walk; {@link UsageError} `HOLDS_STORE` if the tree holds a file of the SwingStore that this process reads
 */
export async function* walkTree(root: string): AsyncGenerator<TreeNode> {
  const real = await realpath(root).catch((cause: unknown) => {
    throw new NotFoundError('FILES_MISSING', 'the directory cannot be read', {
      path: root,
      found: (cause as NodeJS.ErrnoException).code,
      cause,
    });
  });
  const found = await lstat(real, { bigint: true });
  if (!found.isDirectory()) throw notAFile(root, found);
  yield* walk(hold(real, real, found), real, ROOT, found);
}

/** Opens the directory found at `path`. @param reached the path to open it by */
function hold(reached: string, path: string, found: BigIntStats): HeldDirectory {
  let directory: HeldDirectory;
  try {
    directory = HeldDirectory.open(reached);
  } catch (cause) {
    if (systemCode(cause) === 'EACCES') throw cause;
    throw changed(path, cause);
  }
  if (isSame(found, fstatSync(directory.fd, { bigint: true }))) return directory;
  directory.close();
  throw changed(path);
}

/** @param held the directory; entries are found through it, so a replaced path does no harm. It is closed at the end */
async function* walk(
  held: HeldDirectory,
  root: string,
  path: string,
  before: BigIntStats,
): AsyncGenerator<TreeNode> {
  try {
    yield { path, kind: 'directory', mode: modeOf(before), size: 0, read: nothing };
    const names = await readdir(held.path, { encoding: 'buffer' });
    for (const name of names.sort((a, b) => Buffer.compare(a, b))) {
      const below = path === ROOT ? name.toString() : `${path}/${name.toString()}`;
      const full = join(root, below);
      if (!isUtf8(name) || !isTreePath(below)) {
        throw new VerificationError('TREE_PATH', 'a file name cannot be stored in a snapshot', {
          path: full,
          expected: 'UTF-8, and a path of at most 960 characters',
          found: JSON.stringify(name.toString()),
        });
      }
      const inside = held.at(name.toString());
      const found = await lstat(inside, { bigint: true }).catch((cause: unknown) => {
        throw changed(full, cause);
      });
      // Under any name: a hard link, or a directory that is mounted twice.
      if (isHeld(found)) throw holdsStore(full);
      if (found.isDirectory()) yield* walk(hold(inside, full, found), root, below, found);
      else if (found.isFile()) yield fileNode(full, below, found);
      else throw notAFile(full, found);
    }
    if (!isSame(before, fstatSync(held.fd, { bigint: true }))) throw changed(join(root, path));
  } finally {
    held.close();
  }
}

function fileNode(full: string, path: string, found: BigIntStats): TreeNode {
  const size = Number(found.size);
  return { path, kind: 'file', mode: modeOf(found), size, read: () => readFile(full, found) };
}

async function* readFile(path: string, before: BigIntStats): AsyncGenerator<Uint8Array> {
  // Opening a pipe would block until it has a writer.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const file = await open(path, flags).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    throw code === 'ENOENT' || code === 'ELOOP' ? changed(path, cause) : cause;
  });
  try {
    if (!isSame(before, await file.stat({ bigint: true }))) throw changed(path);
    let size = 0n;
    for (;;) {
      // A new buffer for each piece, since the caller may keep it.
      const piece = Buffer.allocUnsafeSlow(Math.min(READ_PIECE_BYTES, Number(before.size) + 1));
      const { bytesRead } = await file.read(piece, 0, piece.length);
      if (bytesRead === 0) break;
      size += BigInt(bytesRead);
      yield piece.subarray(0, bytesRead);
    }
    const isRight = size === before.size && isSame(before, await file.stat({ bigint: true }));
    if (!isRight) throw changed(path);
  } finally {
    await file.close();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // A directory has no bytes.
}

function modeOf({ mode }: BigIntStats): number {
  return Number(mode) & 0o777;
}

function isSame(before: BigIntStats, after: BigIntStats): boolean {
  return (['dev', 'ino', 'mode', 'size', 'mtimeNs', 'ctimeNs'] as const).every(
    (field) => before[field] === after[field],
  );
}

function changed(path: string, cause?: unknown): SwingSnapError {
  return new SwingSnapError('FILE_CHANGED', 'a file or directory changed while it was read', {
    path,
    hint: 'stop the node and run it again, or name a copy of the directory',
    cause,
  });
}

/** @param path of the file in the tree, or of the tree */
export function holdsStore(path: string): UsageError {
  return new UsageError(
    'HOLDS_STORE',
    'the directory of a files module contains the SwingStore that is being read',
    {
      path,
      hint: 'name a directory without the SwingStore: the snapshot has the store anyway, and its files must not be opened during the read',
    },
  );
}

function whatIs(found: BigIntStats): string {
  if (found.isSymbolicLink()) return 'a symbolic link';
  return found.isFile() ? 'a file' : 'a special file';
}

function notAFile(path: string, found: BigIntStats): VerificationError {
  return new VerificationError(
    'NOT_A_FILE',
    'the directory of a files module holds something that is neither a file nor a directory',
    {
      path,
      expected: 'regular files and directories',
      found: whatIs(found),
      hint: 'move it away, or name another directory',
    },
  );
}
