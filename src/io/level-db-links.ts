/**
 * Reads LevelDB databases that are too large to copy. The copy that is opened has the manifest and the logs of the
 * original, and hard links to its tables.
 *
 * LevelDB writes when it opens: it makes tables with new numbers, and truncates what has such a name. Through a link that
 * destroys the original. So only tables that the manifest names are linked, their numbers are below the one that the
 * manifest has for the next file, and symbolic links are never made or followed. LevelDB reads such tables, and removes
 * their names, which are ours. It writes to none.
 */
import { linkSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError, StorageError, SwingSnapError } from '../errors.ts';
import { makeScratchDirectory } from './files/scratch.ts';
import { isMissing, systemCode } from './files/system-error.ts';
import { readManifest } from './level-db-manifest.ts';
import {
  copyFile,
  CURRENT,
  damaged,
  manifestOf,
  namesIn,
  notRegular,
  openRegular,
  PAUSE_MS,
  readLevelDbCopy,
  refuseOthers,
} from './level-db.ts';

/** goleveldb begins a new manifest at 64 MiB. A log has some megabytes. */
const MAX_COPIED_BYTES = 128 * 1024 * 1024;
/** Of 2 MB each, as goleveldb makes them, one terabyte. */
const MAX_TABLES = 500_000;
/** How often the copy begins again because the database has changed meanwhile. */
const ATTEMPTS = 50;
const LOG = /^\d{1,20}\.log$/u;

/**
 * Reads one entry of a LevelDB database of any size. It may be written to meanwhile: the entry is one that the database
 * had in between. Nothing in `directory` is changed, and its `LOCK` is not opened.
 * @param scratchDirs existing directories for the copy. The first on the file system of the database is taken; the others
 *   cannot have links to its tables
 * @returns its value, or undefined if there is none
 * @throws {StorageError} `LEVEL_DB_LINKS` if no link to a table can be made: on another file system, or because this user
 *   neither owns the table nor may write to it
 * @throws {SwingSnapError} `LEVEL_DB_BACKEND` if another database is there, or none; `LEVEL_DB_TOO_LARGE`;
 *   `LEVEL_DB_UNAVAILABLE` if classic-level does not load
 * @throws {VerificationError} `LEVEL_DB_DAMAGED`; {@link BusyError} `LEVEL_DB_BUSY` if it changes too fast
 * @throws as {@link makeScratchDirectory}; system errors
 */
export async function readLevelDbEntry(
  directory: string,
  scratchDirs: readonly string[],
  key: Uint8Array,
): Promise<Uint8Array | undefined> {
  const { dev } = statSync(directory);
  const near = scratchDirs.find((dir) => statSync(dir).dev === dev);
  if (near === undefined) throw noLinks(directory, `none of ${scratchDirs.join(', ')}`);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const work = makeScratchDirectory(near);
    try {
      const copy = join(work.path, 'copy');
      mkdirSync(copy);
      if (await copyWithLinks(directory, copy)) {
        const [entry] = await readLevelDbCopy(copy, directory, key);
        return entry?.[1];
      }
    } finally {
      work.remove();
    }
    await sleep(PAUSE_MS);
  }
  throw new BusyError('LEVEL_DB_BUSY', 'the database changes faster than it can be copied', {
    path: directory,
    hint: 'run it again when the node is less busy',
  });
}

/**
 * Copies the manifest and the logs, and links the tables.
 *
 * A writer writes to the manifest before it removes a log or a table, and makes a new manifest before it names it in
 * `CURRENT`. So if both are as they were at the beginning, the logs and tables are those that the manifest means.
 * @returns false if it has to begin again
 */
async function copyWithLinks(directory: string, copy: string): Promise<boolean> {
  refuseOthers(directory);
  const manifest = await manifestOf(directory);
  const length = await copyOf(manifest, directory, copy, MAX_COPIED_BYTES);
  if (length === undefined) return false;
  const files = readManifest(readFileSync(join(copy, manifest)));
  if ('damage' in files) damaged(join(directory, manifest), { found: files.damage });
  if (files.tables.length > MAX_TABLES) throw tooLarge(directory, `${files.tables.length} tables`);
  const logs = namesIn(directory, LOG).filter(
    (name) => Number.parseInt(name, 10) >= files.firstLog,
  );
  let room = MAX_COPIED_BYTES - length;
  for (const name of logs) {
    const copied = await copyOf(name, directory, copy, room);
    if (copied === undefined) return false;
    room -= copied;
  }
  for (const number of files.tables) {
    if (!linkTable(number, directory, copy)) return false;
  }
  writeFileSync(join(copy, CURRENT), `${manifest}\n`);
  const now = lstatSync(join(directory, manifest), { throwIfNoEntry: false });
  return now?.size === length && (await manifestOf(directory)) === manifest;
}

/** @returns how many bytes were copied, or undefined if there is no such file */
async function copyOf(
  name: string,
  directory: string,
  copy: string,
  most: number,
): Promise<number | undefined> {
  const file = openRegular(join(directory, name));
  if (file === undefined) return undefined;
  try {
    const copied = await copyFile(file, join(copy, name), most + 1);
    if (copied > most) throw tooLarge(directory, `more than ${MAX_COPIED_BYTES} bytes of logs`);
    return copied;
  } finally {
    file.close();
  }
}

/** @returns false if there is no such table */
function linkTable(number: number, directory: string, copy: string): boolean {
  const digits = String(number).padStart(6, '0');
  for (const name of [`${digits}.ldb`, `${digits}.sst`]) {
    const path = join(directory, name);
    // link(2) makes a link to a symbolic link, not to what that leads to.
    const isRegular = lstatSync(path, { throwIfNoEntry: false })?.isFile();
    if (isRegular === undefined) continue;
    if (!isRegular) notRegular(path);
    try {
      linkSync(path, join(copy, name));
    } catch (error) {
      if (isMissing(error)) continue;
      if (/^E(?:XDEV|PERM|ACCES|ROFS|MLINK|OPNOTSUPP)$/u.test(systemCode(error) ?? '')) {
        throw noLinks(path, systemCode(error), error);
      }
      throw error;
    }
    // It may have been replaced meanwhile.
    if (!lstatSync(join(copy, name)).isFile()) notRegular(path);
    return true;
  }
  return false;
}

function tooLarge(path: string, found: string): SwingSnapError {
  return new SwingSnapError('LEVEL_DB_TOO_LARGE', 'the database is larger than any of its kind', {
    path,
    expected: `${MAX_COPIED_BYTES} bytes of logs at most, and ${MAX_TABLES} tables`,
    found,
    hint: 'check which program writes there',
  });
}

function noLinks(path: string, found: string | undefined, cause?: unknown): SwingSnapError {
  return new StorageError('LEVEL_DB_LINKS', 'its tables cannot be linked to be read', {
    path,
    expected: 'a directory for scratch files on the same file system, and the rights to link',
    found,
    hint: 'run as the user that runs the node, or as root',
    cause,
  });
}
