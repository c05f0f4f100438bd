/**
 * Scratch databases: SQLite files for data that would otherwise grow in memory. Each is unlinked as soon as it is
 * open, so it never outlives the process, however the process ends.
 */
import { openSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StorageError, SwingSnapError } from '../../errors.ts';
import { makeDatabase, secretDatabaseName, type Database } from '../sqlite.ts';
import { statIfThere } from './stat-if-there.ts';
import { inPassingDirectory, WorkDirectory } from './work-directory.ts';

/** Prefix of all temporary names. */
export const TEMPORARY_PREFIX = '.swingsnap-';

const SCRATCH_PREFIX = `${TEMPORARY_PREFIX}scratch-`;

// statfs(2) types of file systems in memory.
const MEMORY_FILE_SYSTEMS = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);

/** Whether files below `dir` are in memory. */
export function isMemoryFileSystem(dir: string): boolean {
  return MEMORY_FILE_SYSTEMS.has(statfsSync(dir).type);
}

/**
 * The default directory for scratch files: the system's temporary directory, or `/var/tmp` if that is in memory.
 * @throws {StorageError} `SCRATCH` if that does not exist
 */
export function defaultScratchDir(): string {
  const system = tmpdir();
  if (statIfThere(system)?.isDirectory() !== true) {
    throw new StorageError('SCRATCH', 'the directory for temporary files does not exist', {
      path: system,
      hint: 'set TMPDIR to a directory on a disk, or name one with --scratch-dir',
    });
  }
  return isMemoryFileSystem(system) ? '/var/tmp' : system;
}

/**
 * Makes a directory for scratch files that need names. The caller removes it. The next run removes what a killed run
 * has left.
 * @param dir an existing directory; the caller has checked that it is writable
 * @throws {StorageError} `SCRATCH` if it cannot be made there
 */
export function makeScratchDirectory(dir: string): WorkDirectory {
  return scratching(dir, () => WorkDirectory.make(dir, SCRATCH_PREFIX));
}

function scratching<Result>(dir: string, make: () => Result): Result {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof SwingSnapError) throw cause;
    throw new StorageError('SCRATCH', 'cannot make a scratch file', {
      path: dir,
      found: cause instanceof Error ? cause.message : String(cause),
      hint: 'name a writable directory on a disk with --scratch-dir',
      cause,
    });
  }
}

/** Runs `make` in a new directory that is removed afterwards. @throws {StorageError} `SCRATCH` */
export function unlinkedIn<Result>(dir: string, make: (path: string) => Result): Result {
  return scratching(dir, () => inPassingDirectory(dir, SCRATCH_PREFIX, make));
}

/**
 * Opens an empty scratch database in `dir`. Nothing in it is durable; closing it frees its space.
 * @param dir an existing directory; the caller has checked that it is writable
 * @throws {StorageError} `SCRATCH` if it cannot be made there
 */
export function openScratchDatabase(dir: string): Database {
  return unlinkedIn(dir, (path) => {
    const db = makeDatabase(join(path, secretDatabaseName()));
    try {
      db.pragma('journal_mode = OFF');
      db.pragma('synchronous = OFF');
      db.pragma('locking_mode = EXCLUSIVE');
      // 16 MiB. The rest is in the file, so memory does not grow with the store.
      db.pragma('cache_size = -16384');
      db.pragma('temp_store = FILE');
      // Makes SQLite open the file, which it does lazily, before the file is unlinked.
      db.exec('CREATE TABLE opened (x); DROP TABLE opened; BEGIN');
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/**
 * Opens an empty scratch file in `dir` for reading and writing.
 * @returns its descriptor, which the caller closes
 * @throws {StorageError} `SCRATCH` if it cannot be made there
 */
export function openScratchFile(dir: string): number {
  return unlinkedIn(dir, (path) => openSync(join(path, 'file'), 'wx+'));
}
