/**
 * Reads LevelDB databases of other programs, which may run and write to them meanwhile. LevelDB writes to a database when
 * it opens it, so only a copy is ever opened, and the lock and the files of the other program are left alone.
 *
 * Classic-level is native code that trusts sizes in a table: damage there can abort the process. So a process of its own
 * opens the copy (`level-db-process.ts`). When run from the sources (not the build), this process does.
 *
 * Sources: leveldb `doc/impl.md`, `db/version_set.cc`; goleveldb `leveldb/storage/file_storage.go`.
 */
import { fork } from 'node:child_process';
import { constants, mkdirSync, opendirSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BusyError, SwingSnapError, VerificationError, type ErrorFacts } from '../errors.ts';
import { makeScratchDirectory } from './files/scratch.ts';
import { SourceFile } from './files/source-file.ts';
import { isMissing, systemCode } from './files/system-error.ts';
import {
  readOpened,
  type LevelDbEntry,
  type LevelDbRead,
  type LevelDbRequest,
} from './level-db-copy.ts';

/** The file that names the manifest in use. */
export const CURRENT = 'CURRENT';
const CURRENT_TEXT = /^(MANIFEST-\d{1,20})\n$/u;
const LOG_OR_TABLE = /^\d{1,20}\.(?:log|ldb|sst)$/u;
/** Files that RocksDB and Pebble keep beside names of LevelDB. */
const OTHER_BACKEND = /^(?:OPTIONS-\d+|IDENTITY|marker\..*)$/u;

/** What is copied at most. Larger databases are not ours to copy whole. */
const MAX_BYTES = 64 * 1024 * 1024;
/** All of them are open at the same time. */
const MAX_FILES = 400;
const MAX_CURRENT_BYTES = 64;
/** How often a copy begins again because the writer has dropped files meanwhile. */
const ATTEMPTS = 50;
export const PAUSE_MS = 10;
const PIECE_BYTES = 1024 * 1024;
/** Milliseconds. A reader of so few bytes needs less than one second. */
const PATIENCE_MS = 60_000;

/**
 * Reads a small LevelDB database through a whole copy of it in `scratchDir`. It may be written to meanwhile: the entries
 * are those of one moment.
 * @param directory is not changed, and its `LOCK` is not opened
 * @param key the only entry to read; by default, all
 * @returns in the order of the keys
 * @throws {SwingSnapError} `LEVEL_DB_BACKEND` if another database is there, or none; `LEVEL_DB_TOO_LARGE`;
 *   `LEVEL_DB_UNAVAILABLE` if classic-level does not load
 * @throws {VerificationError} `LEVEL_DB_DAMAGED`; {@link BusyError} `LEVEL_DB_BUSY` if it changes too fast
 * @throws as {@link makeScratchDirectory}; system errors
 */
export async function readLevelDb(
  directory: string,
  scratchDir: string,
  key?: Uint8Array,
): Promise<LevelDbEntry[]> {
  const work = makeScratchDirectory(scratchDir);
  try {
    const copy = join(work.path, 'copy');
    mkdirSync(copy);
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (await copyWhole(directory, copy)) return await readLevelDbCopy(copy, directory, key);
      await sleep(PAUSE_MS);
    }
  } finally {
    work.remove();
  }
  throw new BusyError('LEVEL_DB_BUSY', 'the database changes faster than it can be copied', {
    path: directory,
    hint: 'run it again when the node is less busy',
  });
}

/**
 * Reads a copy of a database, which LevelDB writes to.
 * @param copy the copy, which only the caller uses
 * @param location path of the original, for errors
 * @param key as for {@link readLevelDb}
 * @throws {VerificationError} `LEVEL_DB_DAMAGED`; {@link SwingSnapError} `LEVEL_DB_TOO_LARGE`, `LEVEL_DB_UNAVAILABLE`
 */
export async function readLevelDbCopy(
  copy: string,
  location: string,
  key?: Uint8Array,
): Promise<LevelDbEntry[]> {
  const request = { key, maxBytes: MAX_BYTES };
  const read = import.meta.url.endsWith('.ts')
    ? await readOpened(copy, request)
    : await readInProcess(copy, request);
  switch (read.type) {
    case 'entries':
      return read.entries;
    case 'damaged':
      return damaged(location, { found: read.found });
    case 'too large':
      return tooLarge(location, `more than ${MAX_BYTES} bytes of entries`);
    case 'unavailable':
      throw new SwingSnapError('LEVEL_DB_UNAVAILABLE', 'classic-level does not load', {
        found: read.found,
        hint: 'install swingsnap again, on a platform for which classic-level has binaries',
      });
  }
}

/** The names of the copy are relative to the working directory, which the caller may hold by a descriptor. */
async function readInProcess(copy: string, request: LevelDbRequest): Promise<LevelDbRead> {
  const child = fork(fileURLToPath(new URL('level-db-process.js', import.meta.url)), {
    cwd: copy,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    serialization: 'advanced',
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  });
  return new Promise((resolve, reject) => {
    child.once('message', (read: LevelDbRead) => {
      resolve(read);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve({ type: 'damaged', found: `its reader ended with ${signal ?? `exit code ${code}`}` });
    });
    child.send(request, () => undefined);
  });
}

/**
 * Copies what a reader needs: `CURRENT`, its manifest, the logs and the tables.
 *
 * A writer adds to the manifest after it has written a table, and before it removes a log or a table. So nothing is
 * missing if the manifest is the same before the names are listed and when all files are open. From then on they can be
 * copied at leisure: a log is ended before the next begins, so what is appended later is only newer.
 * @returns false if it has to begin again; nothing is copied then
 */
async function copyWhole(directory: string, copy: string): Promise<boolean> {
  refuseOthers(directory);
  const manifest = await manifestOf(directory);
  const length = sizeOf(join(directory, manifest));
  const files = new Map<string, SourceFile>();
  try {
    const names = namesIn(directory);
    for (const name of [manifest, ...names]) {
      const file = openRegular(join(directory, name));
      if (file !== undefined) files.set(name, file);
    }
    if ((await manifestOf(directory)) !== manifest) return false;
    if (!files.has(manifest)) damaged(join(directory, manifest), { found: 'nothing' });
    if (files.size <= names.length) return false;
    if (sizeOf(join(directory, manifest)) !== length) return false;
    writeFileSync(join(copy, CURRENT), `${manifest}\n`);
    let room = MAX_BYTES;
    for (const [name, file] of files) {
      // What a writer has added to the manifest since then may name tables that are not here.
      const wanted = name === manifest ? length : undefined;
      room -= await copyFile(file, join(copy, name), wanted ?? room + 1);
      if (room < 0) tooLarge(directory, `more than ${MAX_BYTES} bytes`);
    }
    return true;
  } finally {
    for (const file of files.values()) file.close();
  }
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** @throws {SwingSnapError} `LEVEL_DB_BACKEND` */
export function refuseOthers(directory: string): void {
  const foreign = namesIn(directory, OTHER_BACKEND)[0];
  if (foreign === undefined && sizeOf(join(directory, CURRENT)) !== undefined) return;
  throw new SwingSnapError('LEVEL_DB_BACKEND', 'this is not a database of LevelDB', {
    path: directory,
    expected: `a file ${CURRENT}, as goleveldb writes it`,
    found: foreign ?? 'none',
    hint: 'look for app-db-backend in the config of the node: only goleveldb can be read',
  });
}

/** @throws {SwingSnapError} `LEVEL_DB_TOO_LARGE` */
export function namesIn(directory: string, pattern = LOG_OR_TABLE): string[] {
  const names: string[] = [];
  const listing = opendirSync(directory);
  try {
    for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
      if (pattern.test(entry.name)) names.push(entry.name);
      if (names.length > MAX_FILES) tooLarge(directory, `more than ${MAX_FILES} files`);
    }
  } finally {
    listing.closeSync();
  }
  return names;
}

/** The name of the manifest in use. @throws {VerificationError} `LEVEL_DB_DAMAGED` */
export async function manifestOf(directory: string): Promise<string> {
  const path = join(directory, CURRENT);
  const file = openRegular(path);
  if (file === undefined) return damaged(path, { found: 'nothing' });
  try {
    const isShort = file.stats.size <= MAX_CURRENT_BYTES;
    const text = isShort ? (await file.readWhole()).toString('latin1') : '';
    return CURRENT_TEXT.exec(text)?.[1] ?? damaged(path, { expected: 'MANIFEST-<number>' });
  } finally {
    file.close();
  }
}

/** Copies the first `most` bytes of a file, or all of them. @returns how many were copied */
export async function copyFile(file: SourceFile, path: string, most: number): Promise<number> {
  const output = await open(path, 'wx', 0o600);
  let copied = 0;
  try {
    for await (const piece of file.pieces(PIECE_BYTES)) {
      const wanted = piece.subarray(0, most - copied);
      await output.writeFile(wanted);
      copied += wanted.length;
      if (copied === most) break;
    }
  } finally {
    await output.close();
  }
  return copied;
}

/** Opens a file, which the caller closes; undefined if it is gone. @throws {VerificationError} `LEVEL_DB_DAMAGED` */
export function openRegular(path: string): SourceFile | undefined {
  let file: SourceFile;
  try {
    file = SourceFile.open(path, constants.O_NOFOLLOW);
  } catch (error) {
    if (isMissing(error)) return undefined;
    // A link, a socket.
    if (/^(?:ELOOP|ENXIO)$/u.test(systemCode(error) ?? '')) return notRegular(path);
    throw error;
  }
  if (file.stats.isFile()) return file;
  file.close();
  return notRegular(path);
}

export function notRegular(path: string): never {
  return damaged(path, { expected: 'a regular file', found: 'a link, a pipe or the like' });
}

export function damaged(path: string, facts: Pick<ErrorFacts, 'expected' | 'found'>): never {
  throw new VerificationError('LEVEL_DB_DAMAGED', 'the database of the node is damaged', {
    path,
    ...facts,
    hint: 'run it again; if it stays so, a node could not open this database either',
  });
}

function tooLarge(path: string, found: string): never {
  throw new SwingSnapError('LEVEL_DB_TOO_LARGE', 'the database is larger than any of its kind', {
    path,
    expected: `${MAX_BYTES} bytes at most, in ${MAX_FILES} files`,
    found,
    hint: 'check which program writes there',
  });
}
