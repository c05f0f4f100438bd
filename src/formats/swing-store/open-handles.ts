/** Detects processes that have a SwingStore's database open. */
import { statSync } from 'node:fs';
import { link, lstat, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BusyError } from '../../errors.ts';
import { lacksHardLinks } from '../../io/files/publish-file.ts';
import { openDatabase, secretDatabaseName } from '../../io/sqlite.ts';
import { lockHolders } from './posix-locks.ts';

/**
 * Checks SQLite's own lock, which every open handle on a WAL database holds and which is visible across the containers
 * of this machine; and `/proc`, for handles on a database in another journal mode.
 * @param staging a directory of ours on the same file system. The database is opened there under another name, so
 *   that SQLite touches neither its `-wal` nor its `-shm`. Without it nothing is written, and only `/proc` is
 *   consulted
 * @throws {BusyError} `STORE_OPEN`
 */
export async function refuseOpenDatabase(path: string, staging?: string): Promise<void> {
  const holders = await processesWithOpen(path);
  const locked = staging === undefined ? isDatabaseLocked(path) : await isLocked(path, staging);
  if (holders.length > 0 || locked) {
    throw new BusyError('STORE_OPEN', 'a process has the SwingStore open', {
      path,
      found: holders.length > 0 ? `process ${holders.join(', ')}` : 'a lock on the database',
      hint: 'stop the node and all other readers of the store, then run it again',
    });
  }
}

async function isLocked(path: string, staging: string): Promise<boolean> {
  // Through a symbolic link, SQLite would find and recover the side files next to the link's target.
  if ((await lstat(path)).isSymbolicLink()) return isDatabaseLocked(path);
  const alias = join(staging, secretDatabaseName());
  try {
    await link(path, alias);
  } catch (error) {
    if (lacksHardLinks(error)) return isDatabaseLocked(path);
    throw error;
  }
  try {
    const db = openDatabase(alias, { timeout: 0, fileMustExist: true });
    try {
      db.pragma('locking_mode = EXCLUSIVE');
      db.exec('BEGIN EXCLUSIVE; ROLLBACK');
      return false;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      // SQLite has no handle on a file that is not a database.
      return typeof code === 'string' && /^SQLITE_(BUSY|LOCKED)/u.test(code);
    } finally {
      db.close();
    }
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal'])
      await rm(alias + suffix, { force: true });
  }
}

/**
 * Whether `/proc/locks` shows a lock on the database: every open handle on a WAL database holds one. Does not open
 * the file, because closing it would drop the locks of our own other handles.
 * @returns false if `/proc/locks` does not exist, or does not name the file as stat does
 */
export function isDatabaseLocked(path: string): boolean {
  return lockHolders(statSync(path, { bigint: true })).size > 0;
}

/** Ids of other processes that have the file open, as far as `/proc` shows. */
async function processesWithOpen(path: string): Promise<string[]> {
  const target = await stat(path);
  const found: string[] = [];
  const pids = await readdir('/proc').catch(() => []);
  for (const pid of pids) {
    if (!/^\d+$/u.test(pid) || pid === String(process.pid)) continue;
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const fd of fds) {
      const open = await stat(`/proc/${pid}/fd/${fd}`).catch(() => undefined);
      if (open?.ino === target.ino && open.dev === target.dev) {
        found.push(pid);
        break;
      }
    }
  }
  return found;
}
