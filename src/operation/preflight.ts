/** Checks that are made before the first byte is written. */
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError, StorageError } from '../errors.ts';
import { freeBytes } from '../io/files/free-space.ts';
import { isMemoryFileSystem, defaultScratchDir } from '../io/files/scratch.ts';
import { nearestExisting, statIfThere } from '../io/files/stat-if-there.ts';

/** A check that passed. */
export interface Check {
  readonly check: string;
  readonly path?: string;
  /** Bytes. */
  readonly free?: number;
}

/**
 * Checks that files can be made in `dir`, or in the directory above it in which it will be made.
 * @param what what `dir` is, for the message: `snapshot dir`
 * @throws {StorageError} `NOT_WRITABLE`; {@link UsageError} `NOT_A_DIRECTORY`
 */
export function checkWritable(dir: string, what: string): Check {
  const existing = nearestExisting(dir);
  if (!statSync(existing).isDirectory()) {
    throw new UsageError('NOT_A_DIRECTORY', `the ${what} would be below a file`, {
      path: existing,
    });
  }
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
  refuseKernelFiles(existing, what);
  return { check: `${what} is writable`, path: existing, free: freeBytes(existing) };
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
