/** Checks that are made before the first byte is written. */
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { NotFoundError, StorageError, UsageError } from '../errors.ts';
import { freeBytes } from '../io/disks/free-space.ts';
import { unmountedPointAbove, type MountFiles } from '../io/disks/mounts.ts';
import { missingDirectories } from '../io/files/made-directory.ts';
import { isMemoryFileSystem, defaultScratchDir } from '../io/files/scratch.ts';
import { nearestExisting, statIfThere } from '../io/files/stat-if-there.ts';
import { shellQuote } from '../io/shell-quote.ts';

/** A check that passed. */
export interface Check {
  readonly check: string;
  readonly path?: string;
  /** Bytes. */
  readonly free?: number;
  /** About how many bytes the command will write there. */
  readonly needed?: number;
  /** The directories that will be made, the outermost first. */
  readonly makes?: readonly string[];
}

export interface WritableOptions {
  /**
   * Whether the directories above `dir` may be made too. By default they must be there: a mistyped path, or that of a
   * disk that is not mounted, would become a tree of new directories.
   */
  readonly makesParents?: boolean;
  readonly mounts?: MountFiles | undefined;
}

/**
 * Checks that files can be made in `dir`, or that `dir` can be made.
 * @param what what `dir` is, for the message: `snapshot dir`
 * @throws {StorageError} `NOT_WRITABLE`; `NOT_MOUNTED` if it is on a disk that is not mounted; `LINK_TO_NOTHING`
 * @throws {UsageError} `NOT_A_DIRECTORY`; {@link NotFoundError} `PARENT_MISSING`
 */
export function checkWritable(
  dir: string,
  what: string,
  { makesParents = false, mounts }: WritableOptions = {},
): Check {
  const existing = nearestExisting(resolve(dir));
  refuseUnmounted(dir, what, mounts);
  if (!statSync(existing).isDirectory()) {
    throw new UsageError('NOT_A_DIRECTORY', `the ${what} would be below a file`, {
      path: existing,
    });
  }
  refuseKernelFiles(existing, what);
  const makes = missingDirectories(dir);
  if (!makesParents && makes.length > 1) refuseNoParent(dirname(resolve(dir)), existing, what);
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new StorageError('NOT_WRITABLE', `the ${what} cannot be written`, {
      path: existing,
      found: (cause as NodeJS.ErrnoException).code,
      hint: 'run as a user that may write there, or name another place',
      cause,
    });
  }
  return {
    check: `${what} is writable`,
    path: existing,
    free: freeBytes(existing),
    ...(makes.length === 0 ? {} : { makes }),
  };
}

function refuseNoParent(parent: string, existing: string, what: string): never {
  throw new NotFoundError('PARENT_MISSING', `the directory above the ${what} does not exist`, {
    path: parent,
    found: `only ${existing}`,
    hint: `check the path, and that its disk is mounted; or make the directory: mkdir -p ${shellQuote(parent)}`,
  });
}

/** @throws {StorageError} `NOT_MOUNTED` */
export function refuseUnmounted(dir: string, what: string, mounts?: MountFiles): void {
  const point = unmountedPointAbove(dir, mounts);
  if (point === undefined) return;
  throw new StorageError('NOT_MOUNTED', `the ${what} would be on a disk that is not mounted`, {
    path: dir,
    expected: `a disk mounted on ${point}, as /etc/fstab says`,
    found: 'none',
    hint: `mount it with: mount ${shellQuote(point)}`,
  });
}

/**
 * Checks that `home` is the home of a node, even a new one.
 * @throws {NotFoundError} `HOME_MISSING`; {@link StorageError} `LINK_TO_NOTHING`
 */
export function checkHome(home: string): void {
  const isThere = (name: string): boolean => statIfThere(join(home, name))?.isDirectory() === true;
  if (['config', 'data'].some(isThere)) return;
  throw new NotFoundError('HOME_MISSING', 'there is no home of a node', {
    path: home,
    expected: 'a directory with config/ or data/ in it',
    found: statIfThere(home) === undefined ? 'nothing' : 'neither of them',
    hint: `check the path, and name the home with --home; for a new node, make it first: mkdir -p ${shellQuote(join(home, 'data'))}`,
  });
}

/** statfs(2) types of file systems that hold no files of users, whatever their permissions say. */
const KERNEL_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x63677270, 'cgroup2'],
  [0x0187, 'autofs'],
]);

function refuseKernelFiles(dir: string, what: string): void {
  const found = KERNEL_FILE_SYSTEMS.get(statfsSync(dir).type);
  if (found === undefined) return;
  throw new StorageError('NOT_WRITABLE', `the ${what} cannot be written`, {
    path: dir,
    expected: 'a directory on a disk',
    found,
    hint: 'check that its disk is mounted, or name another place',
  });
}

/**
 * The directory for scratch files: the requested one, else one beside the output, else the system's.
 * @param output where the command writes; undefined if it writes nothing
 * @throws {StorageError} `SCRATCH_IN_MEMORY` if the requested one is on an in-memory file system
 */
export function chooseScratchDir(asked: string | undefined, output?: string): string {
  if (asked === undefined) return besideOutput(output) ?? defaultScratchDir();
  if (statIfThere(asked)?.isDirectory() !== true) {
    throw new UsageError('NOT_A_DIRECTORY', 'the scratch dir does not exist', { path: asked });
  }
  checkWritable(asked, 'scratch dir');
  if (isMemoryFileSystem(asked)) {
    throw new StorageError('SCRATCH_IN_MEMORY', 'the scratch dir is on an in-memory file system', {
      path: asked,
      expected: 'a directory on a disk',
      found: 'tmpfs or ramfs',
      hint: 'name another with --scratch-dir',
    });
  }
  return asked;
}

/** The parent of the output directory, if it can hold scratch files. The output directory itself must stay empty. */
function besideOutput(output: string | undefined): string | undefined {
  if (output === undefined) return undefined;
  const dir = nearestExisting(dirname(resolve(output)));
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
  } catch {
    return undefined;
  }
  return isMemoryFileSystem(dir) ? undefined : dir;
}

/**
 * The new file gets the owner of its directory, and only that owner or root can make it so.
 * @throws {StorageError} `OWNER`
 */
export function refuseForeignOwner(stateDir: string): void {
  const user = process.geteuid?.() ?? 0;
  const owner = statIfThere(stateDir)?.uid ?? user;
  if (user === 0 || user === owner) return;
  throw new StorageError('OWNER', 'the state dir belongs to another user', {
    path: stateDir,
    expected: `user ${owner}`,
    found: `user ${user}`,
    hint: 'run it as the user that runs the node, or as root',
  });
}
