/** Where locks on stores and export directories are, and how a path becomes one: by device and inode. */
import { accessSync, constants, lstatSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { StorageError, UsageError } from '../errors.ts';
import { adoptLockDirectory, makeLockDirectory } from '../io/kernel-lock.ts';
import { statIfThere } from '../io/stat-if-there.ts';

const ROOT = 0;
const VARIABLE = 'SWINGSNAP_LOCK_DIR';

/**
 * The lock dir: `SWINGSNAP_LOCK_DIR`, else `/run/lock/swingsnap`, else `/tmp/swingsnap-locks`. Never from `TMPDIR` or
 * `XDG_*`, which differ between cron, a shell and a service. Made if it is missing. It is root's or the user's own,
 * since the owner of a directory can put anything in the place of a lock.
 * @throws {UsageError} `LOCK_DIR_RELATIVE`: a worker has another working directory than the command
 * @throws {StorageError} `LOCK_DIR` if none can be written, or the named one is not to be trusted
 */
export function lockDir(env: NodeJS.ProcessEnv = process.env): string {
  const named = env[VARIABLE] ?? '';
  if (named !== '') return namedLockDir(named);
  const candidates = ['/run/lock/swingsnap', '/tmp/swingsnap-locks'];
  for (const dir of candidates) if (obstacleTo(dir, true) === undefined) return dir;
  throw new StorageError('LOCK_DIR', 'no directory for locks can be written', {
    path: candidates.join(', '),
    hint: `name a directory that all users of swingsnap share with ${VARIABLE}`,
  });
}

function namedLockDir(dir: string): string {
  if (!isAbsolute(dir)) {
    throw new UsageError('LOCK_DIR_RELATIVE', `${VARIABLE} is no absolute path`, {
      found: dir,
      hint: 'name it from the root, since not every process of swingsnap runs in this directory',
    });
  }
  const found = obstacleTo(dir, false);
  if (found === undefined) return dir;
  throw new StorageError('LOCK_DIR', 'the directory for locks cannot be used', {
    path: dir,
    expected: "a writable directory, root's or your own",
    found,
    hint: `name a directory that all users of swingsnap share with ${VARIABLE}`,
  });
}

/**
 * Makes `dir` if it is missing.
 * @param adopts whether root makes a directory its own that another user was the first to need: were it passed over,
 *   root and that user would not see each other's locks
 * @returns why it cannot be the lock dir; undefined if it can
 */
function obstacleTo(dir: string, adopts: boolean): string | undefined {
  try {
    makeLockDirectory(dir);
    const stat = lstatSync(dir);
    if (stat.isSymbolicLink()) return 'a symbolic link';
    if (!stat.isDirectory()) return 'no directory';
    const user = process.geteuid?.();
    if (stat.uid !== ROOT && stat.uid !== user) {
      if (!adopts || user !== ROOT) return `a directory of user ${String(stat.uid)}`;
      adoptLockDirectory(dir);
    }
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The lock file of what is at `path`, whatever path or link names it; undefined if nothing is there. */
export function lockFileOf(path: string): string | undefined {
  const stat = statIfThere(path);
  return stat === undefined
    ? undefined
    : join(lockDir(), `${String(stat.dev)}-${String(stat.ino)}.lock`);
}
