/** Where locks on stores and export directories are, and how a path becomes one: by device and inode. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../errors.ts';
import { makeLockDirectory } from '../io/kernel-lock.ts';
import { statIfThere } from '../io/stat-if-there.ts';

/**
 * The lock dir: `SWINGSNAP_LOCK_DIR`, else `/run/lock/swingsnap`, else `/tmp/swingsnap-locks`. Never from `TMPDIR` or
 * `XDG_*`, which differ between cron, a shell and a service. Made if it is missing.
 * @throws {StorageError} `LOCK_DIR` if none can be written
 */
export function lockDir(env: NodeJS.ProcessEnv = process.env): string {
  const named = env['SWINGSNAP_LOCK_DIR'] ?? '';
  const candidates = named === '' ? ['/run/lock/swingsnap', '/tmp/swingsnap-locks'] : [named];
  for (const dir of candidates) {
    try {
      makeLockDirectory(dir);
      accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
      return dir;
    } catch {
      // The next one, then.
    }
  }
  throw new StorageError('LOCK_DIR', 'no directory for locks can be written', {
    path: candidates.join(', '),
    hint: 'name a directory that all users of swingsnap share with SWINGSNAP_LOCK_DIR',
  });
}

/** The lock file of what is at `path`, whatever path or link names it; undefined if nothing is there. */
export function lockFileOf(path: string): string | undefined {
  const stat = statIfThere(path);
  return stat === undefined
    ? undefined
    : join(lockDir(), `${String(stat.dev)}-${String(stat.ino)}.lock`);
}
