/** A storage in a directory: a subdirectory per snapshot, built under a temporary name and renamed. */
import { existsSync, linkSync, lstatSync, renameSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { NotFoundError, SwingSnapError, VerificationError } from '../errors.ts';
import { makeDirectory, unmakeDirectories } from '../io/made-directory.ts';
import { makeWithParents } from '../io/make-with-parents.ts';
import { syncDirectory, writeDurably, writeFully } from '../io/publish-file.ts';
import { SourceFile } from '../io/source-file.ts';
import { WorkDirectory, type Rescue } from '../io/work-directory.ts';
import {
  checkSnapshotName,
  fileExists,
  type ShownFile,
  type SnapshotStorage,
  type StagedFile,
  type StagedSnapshot,
  type StoredSnapshot,
} from './contract.ts';

const STREAM_PIECE_BYTES = 1024 * 1024;

/** The storage in `dir`, which is made when the first snapshot is staged. */
export function directoryStorage(dir: string): SnapshotStorage {
  return new DirectoryStorage(dir);
}

/** A snapshot in a directory of its own, wherever that is. */
export function storedDirectory(dir: string): StoredSnapshot {
  return new StoredDirectory(dir);
}

class DirectoryStorage implements SnapshotStorage {
  readonly location: string;

  constructor(dir: string) {
    this.location = resolve(dir);
  }

  async list(): Promise<string[]> {
    try {
      const entries = await readdir(this.location, { withFileTypes: true });
      return entries
        .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
        .map(({ name }) => name);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  async open(name: string): Promise<StoredSnapshot> {
    checkSnapshotName(name);
    const dir = join(this.location, name);
    const found = await stat(dir).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (found?.isDirectory() !== true) {
      throw new NotFoundError('SNAPSHOT_MISSING', 'no snapshot there', { path: dir });
    }
    return new StoredDirectory(dir);
  }

  async stage(name: string): Promise<StagedSnapshot> {
    checkSnapshotName(name);
    const made = await makeDirectory(this.location);
    try {
      const work = workOn(this.location, name);
      return new StagedDirectory(work, join(this.location, name), made);
    } catch (error) {
      await unmakeDirectories(made);
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    checkSnapshotName(name);
    if (!(await exists(join(this.location, name)))) return;
    const work = workOn(this.location, name);
    try {
      await rename(join(this.location, name), join(work.path, REMOVED));
      await syncDirectory(this.location);
    } catch (error) {
      if (!isMissing(error)) throw error;
    } finally {
      work.remove();
    }
  }
}

const STAGED = 'new';
const REPLACED = 'old';
const REMOVED = 'removed';
/** `.<name>-<id>`: where a snapshot is on its way in or out. */
const WORK_NAME = /^\.(?<name>[^.].*)-[0-9a-f]{12}$/su;

/** A run that was killed between the two renames of a replacement has left the old snapshot beside the new one. */
const putBack: Rescue = ({ path, location }) => {
  const name = WORK_NAME.exec(basename(location))?.groups?.['name'];
  const old = join(path, REPLACED);
  if (name === undefined || !existsSync(old) || !existsSync(join(path, STAGED))) return;
  const final = join(dirname(location), name);
  if (!existsSync(final)) renameSync(old, final);
};

function workOn(location: string, name: string): WorkDirectory {
  return WorkDirectory.make(location, `.${name}-`, WORK_NAME, putBack);
}

class StoredDirectory implements StoredSnapshot {
  readonly location: string;
  readonly name: string;

  constructor(dir: string) {
    this.location = dir;
    this.name = basename(resolve(dir));
  }

  async read(file: string, maxBytes: number): Promise<Uint8Array> {
    const { opened, path } = this.#open(file);
    try {
      const { size } = opened.stats;
      if (size > maxBytes) {
        throw new VerificationError('FILE_TOO_LARGE', 'a file of the snapshot is too large', {
          path,
          expected: `at most ${String(maxBytes)} bytes`,
          found: `${String(size)} bytes`,
        });
      }
      return await opened.readWhole();
    } finally {
      opened.close();
    }
  }

  async size(file: string): Promise<number> {
    const path = join(this.location, file);
    const found = await stat(path).catch((error: unknown) => {
      throw fileMissing(path, error);
    });
    if (found.isFile()) return found.size;
    throw notAFile(path);
  }

  async *stream(file: string): AsyncGenerator<Uint8Array> {
    const { opened } = this.#open(file);
    try {
      yield* opened.pieces(STREAM_PIECE_BYTES);
    } finally {
      opened.close();
    }
  }

  #open(file: string): { opened: SourceFile; path: string } {
    const path = join(this.location, file);
    let opened: SourceFile;
    try {
      opened = SourceFile.open(path);
    } catch (error) {
      throw fileMissing(path, error);
    }
    if (opened.stats.isFile()) return { opened, path };
    opened.close();
    throw notAFile(path);
  }
}

class StagedDirectory implements StagedSnapshot {
  readonly #work: WorkDirectory;
  /** What will be renamed; beside it is the lock. */
  readonly #staging: string;
  readonly #final: string;
  readonly #madeAbove: readonly string[];
  readonly #dirs = new Set<string>();
  readonly #open = new Set<FileHandle>();

  constructor(work: WorkDirectory, final: string, madeAbove: readonly string[]) {
    this.#work = work;
    this.#staging = join(work.path, STAGED);
    this.#final = final;
    this.#madeAbove = madeAbove;
  }

  async put(file: string, bytes: Uint8Array): Promise<void> {
    const path = this.#pathFor(file);
    await writeDurably(path, bytes).catch((error: unknown) => {
      throw isThere(error) ? fileExists(path, error) : error;
    });
  }

  async adopt(
    file: string,
    from: StoredSnapshot,
    maxBytes: number,
    accept: ((shown: ShownFile) => Promise<boolean>) | undefined,
  ): Promise<number | undefined> {
    const path = this.#pathFor(file);
    // Given its new name first: what is looked at then is what stays, whoever removes the other snapshot meanwhile.
    if (!(await secondName(join(from.location, file), path, maxBytes))) return undefined;
    if (accept === undefined || (await accept({ path }))) return (await stat(path)).size;
    await rm(path);
    return undefined;
  }

  async create(file: string): Promise<StagedFile> {
    const path = this.#pathFor(file);
    const handle = await open(path, 'wx').catch((error: unknown) => {
      throw isThere(error) ? fileExists(path, error) : error;
    });
    this.#open.add(handle);
    return {
      write: async (bytes) => writeFully(handle, bytes),
      close: async () => {
        await handle.sync();
        this.#open.delete(handle);
        await handle.close();
      },
    };
  }

  #pathFor(file: string): string {
    const path = join(this.#staging, file);
    const dir = dirname(path);
    if (!this.#dirs.has(dir)) {
      makeWithParents(dir);
      this.#dirs.add(dir);
    }
    return path;
  }

  async publish(replace: boolean): Promise<void> {
    makeWithParents(this.#staging);
    for (const dir of [...this.#dirs, this.#staging]) await syncDirectory(dir);
    const parent = dirname(this.#final);
    let old: string | undefined;
    if (await exists(this.#final)) {
      if (!replace) throw snapshotExists(this.#final);
      old = join(this.#work.path, REPLACED);
      await rename(this.#final, old).catch((error: unknown) => {
        // Another replaces it too, and has just taken it away.
        if (!isMissing(error)) throw error;
        old = undefined;
      });
    }
    let isVisible = false;
    try {
      await rename(this.#staging, this.#final);
      isVisible = true;
      await syncDirectory(parent);
    } catch (error) {
      if (isVisible) await rename(this.#final, this.#staging);
      // Another's, published meanwhile: it has replaced the old one too.
      if (isThere(error)) throw snapshotExists(this.#final, error);
      if (old !== undefined) await rename(old, this.#final);
      throw error;
    }
    this.#work.remove();
  }

  async discard(): Promise<void> {
    for (const handle of this.#open) await handle.close();
    this.#work.remove();
    await unmakeDirectories(this.#madeAbove);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Gives a file a second name; or makes a copy of it, where its file system or its owner does not allow that.
 * @returns false if there is no file of at most `maxBytes`
 */
async function secondName(from: string, to: string, maxBytes: number): Promise<boolean> {
  try {
    const found = lstatSync(from);
    if (!found.isFile() || found.size > maxBytes) return false;
    try {
      linkSync(from, to);
    } catch (error) {
      if (isMissing(error) || isThere(error)) throw error;
      await writeDurably(to, await readFile(from));
    }
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw isThere(error) ? fileExists(to, error) : error;
  }
}

function snapshotExists(path: string, cause?: unknown): SwingSnapError {
  return new SwingSnapError('SNAPSHOT_EXISTS', 'a snapshot is there already', {
    path,
    hint: 'use --replace to put the new one in its place',
    cause,
  });
}

function isThere(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  // rename(2) says either of a directory that is not empty.
  return code === 'EEXIST' || code === 'ENOTEMPTY';
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function notAFile(path: string): VerificationError {
  return new VerificationError('NOT_A_FILE', 'what should be a file of the snapshot is none', {
    path,
  });
}

function fileMissing(path: string, cause: unknown): unknown {
  if (!isMissing(cause)) return cause;
  return new NotFoundError('FILE_MISSING', 'a file of the snapshot is missing', { path, cause });
}
