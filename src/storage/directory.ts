/** A storage in a directory: one subdirectory per snapshot, built under a temporary name and then renamed. */
import {
  accessSync,
  constants,
  lstatSync,
  statSync,
  type Dir,
  type Dirent,
  type Stats,
} from 'node:fs';
import { access, open, opendir, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { NotFoundError, SwingSnapError, VerificationError } from '../errors.ts';
import { withShownPaths } from '../io/files/descriptor-names.ts';
import { HeldDirectory, inDirectory } from '../io/files/held-directory.ts';
import {
  makeDirectory,
  unmakeDirectories,
  type MadeDirectory,
  makeWithParents,
} from '../io/files/made-directory.ts';
import { syncDirectory, writeDurably, writeFully } from '../io/files/publish-file.ts';
import { SourceFile } from '../io/files/source-file.ts';
import { kindOf, statIfThere } from '../io/files/stat-if-there.ts';
import { isMissing, isNotPermitted } from '../io/files/system-error.ts';
import { lookAtLeftover, removeIfDead, type WorkDirectory } from '../io/files/work-directory.ts';
import { recipeFor, type Recipe } from '../io/threads/recipe.ts';
import { workerTask } from '../io/threads/task.ts';
import { adoptFile } from './adopted-file.ts';
import {
  checkSnapshotName,
  fileExists,
  nothingSalvaged,
  type Adoption,
  type Pieces,
  type PlaceContent,
  type Salvage,
  type SnapshotPlace,
  type StagedFile,
  type StagedSnapshot,
  type StagedSpot,
  type StoredFileFacts,
  type StoredSnapshot,
  type UnfinishedWork,
} from './contract.ts';
import {
  putBack,
  REMOVED,
  REPLACED,
  salvageTrees,
  STAGED,
  WORK_NAME,
  workOn,
} from './unfinished.ts';

const STREAM_PIECE_BYTES = 1024 * 1024;
const NAMES_AT_ONCE = 1024;

/** The storage in `dir`, which is created when the first snapshot is staged. */
export function directoryStorage(dir: string): SnapshotPlace {
  return new DirectoryStorage(dir);
}

/** A snapshot in a directory, not necessarily in a storage. */
export function storedDirectory(dir: string): StoredSnapshot {
  return new StoredDirectory(dir);
}

class DirectoryStorage implements SnapshotPlace {
  readonly location: string;

  constructor(dir: string) {
    this.location = resolve(dir);
  }

  async list(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name, kind } of this.contents()) if (kind === 'snapshot') names.push(name);
    return names;
  }

  async *contents(): AsyncGenerator<PlaceContent> {
    const entries = await entriesIn(this.location).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    for await (const entry of entries) {
      const { name } = entry;
      const isUnfinished = entry.isDirectory() && WORK_NAME.test(name);
      if (isUnfinished) yield { name, kind: 'unfinished', what: 'a work directory' };
      else if (isContent(name)) yield { name, ...contentOf(entry) };
    }
  }

  async unfinished(name: string): Promise<UnfinishedWork | undefined> {
    return WORK_NAME.test(name) ? lookAtLeftover(join(this.location, name)) : undefined;
  }

  async removeUnfinished(name: string): Promise<boolean> {
    if (!WORK_NAME.test(name)) return false;
    return inDirectory(this.location, async (place) => {
      const path = place.at(name);
      try {
        removeIfDead(path, putBack);
      } catch (error) {
        // Another process has removed it.
        if (!isMissing(error)) throw error;
      }
      return lstatSync(path, { throwIfNoEntry: false }) === undefined;
    });
  }

  async salvage(): Promise<Salvage> {
    if (statIfThere(this.location) === undefined) return nothingSalvaged;
    const place = HeldDirectory.openLinked(this.location);
    const { trees, work } = salvageTrees(place);
    const end = async (close: () => void): Promise<void> => {
      close();
      place.close();
    };
    return {
      snapshots: trees.map((tree) => new StoredDirectory(tree)),
      leave: async () => end(work.leave.bind(work)),
      discard: async () => end(work.remove.bind(work)),
    };
  }

  async open(name: string): Promise<StoredSnapshot> {
    checkSnapshotName(name);
    const dir = join(this.location, name);
    if (statIfThere(dir)?.isDirectory() !== true) {
      throw new NotFoundError('SNAPSHOT_MISSING', 'no such snapshot', { path: dir });
    }
    return new StoredDirectory(dir);
  }

  async stage(name: string): Promise<StagedSnapshot> {
    checkSnapshotName(name);
    const made = await makeDirectory(this.location);
    let place: HeldDirectory | undefined;
    try {
      place = HeldDirectory.openLinked(this.location);
      return new StagedDirectory({ place, work: workOn(place, name), made }, name);
    } catch (error) {
      place?.close();
      await unmakeDirectories(made);
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    checkSnapshotName(name);
    if (!(await exists(join(this.location, name)))) return;
    await inDirectory(this.location, async (place) => {
      const work = workOn(place, name);
      try {
        await rename(place.at(name), join(work.path, REMOVED));
        await syncDirectory(place.path);
      } catch (error) {
        if (!isMissing(error)) throw error;
      } finally {
        work.remove();
      }
    });
  }

  async occupancy(): Promise<'missing' | 'empty' | 'occupied'> {
    if (statIfThere(this.location) === undefined) return 'missing';
    for await (const { name } of await entriesIn(this.location)) {
      if (isContent(name)) return 'occupied';
    }
    return 'empty';
  }

  async readMark(maxBytes: number): Promise<Uint8Array | undefined> {
    return storedDirectory(this.location)
      .read(MARK_FILE, maxBytes)
      .catch((error: unknown) => {
        if (error instanceof NotFoundError) return undefined;
        throw error;
      });
  }

  async writeMark(bytes: Uint8Array): Promise<void> {
    await inDirectory(this.location, async (place) => {
      const work = workOn(place, 'mark');
      try {
        const written = join(work.path, STAGED);
        await writeDurably(written, bytes);
        await rename(written, place.at(MARK_FILE));
        await syncDirectory(place.path);
      } finally {
        work.remove();
      }
    });
  }
}

/** A dot keeps it out of the list of snapshots. */
const MARK_FILE = '.swingsnap.json';

class StoredDirectory implements StoredSnapshot {
  readonly location: string;
  readonly name: string;

  constructor(dir: string) {
    this.location = dir;
    this.name = basename(resolve(dir));
  }

  async read(file: string, maxBytes: number): Promise<Uint8Array> {
    return readStoredFile({ path: join(this.location, file), maxBytes });
  }

  recipe(file: string, maxBytes: number): Recipe<Pieces> {
    return recipeOf(join(this.location, file), maxBytes);
  }

  async size(file: string): Promise<number> {
    return (await this.facts(file)).size;
  }

  async facts(file: string): Promise<StoredFileFacts> {
    return factsOf(join(this.location, file));
  }

  async *stream(file: string): AsyncGenerator<Uint8Array> {
    const opened = openFile(join(this.location, file));
    try {
      yield* opened.pieces(STREAM_PIECE_BYTES);
    } finally {
      opened.close();
    }
  }
}

function factsOf(path: string): StoredFileFacts {
  try {
    // On this thread: the way to another takes ten times as long, and a list of a place asks for each chunk.
    const found = statSync(path);
    if (!found.isFile()) throw notAFile(path);
    if (!isSurelyReadable(found)) accessSync(path, constants.R_OK);
    const { size, mtime: modified, nlink: links, dev, ino } = found;
    return { size, modified, links, id: `${dev}:${ino}` };
  } catch (error) {
    throw fileMissing(path, error);
  }
}

/** The entries of a directory, which are not gathered: there may be a million. */
async function entriesIn(dir: string): Promise<Dir> {
  return opendir(dir, { bufferSize: NAMES_AT_ONCE });
}

function isContent(name: string): boolean {
  return !name.startsWith('.') && name !== 'lost+found';
}

function contentOf(entry: Dirent): Pick<PlaceContent, 'kind' | 'what'> {
  if (entry.isDirectory()) return { kind: 'snapshot', what: 'a directory' };
  if (entry.isSymbolicLink()) return { kind: 'link', what: 'a symbolic link' };
  return { kind: 'other', what: kindOf(entry) };
}

/** Spares the question to the system, for each of thousands of chunks. */
function isSurelyReadable({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & constants.S_IRUSR) !== 0;
}

interface StoredFile {
  readonly path: string;
  readonly maxBytes: number;
}

async function readStoredFile(file: StoredFile): Promise<Uint8Array> {
  const opened = openWithin(file);
  try {
    return await opened.readWhole();
  } finally {
    opened.close();
  }
}

/** The pieces of a file, in any thread. Throws as `StoredSnapshot.read`. */
export async function* readStoredPieces(file: StoredFile): AsyncGenerator<Uint8Array> {
  const opened = openWithin(file);
  try {
    yield* opened.pieces(STREAM_PIECE_BYTES);
  } finally {
    opened.close();
  }
}

const reading = workerTask(import.meta.url, readStoredPieces);

function recipeOf(path: string, maxBytes: number): Recipe<Pieces> {
  return recipeFor(reading, { path, maxBytes });
}

function openWithin({ path, maxBytes }: StoredFile): SourceFile {
  const opened = openFile(path);
  const { size } = opened.stats;
  if (size <= maxBytes) return opened;
  opened.close();
  throw new VerificationError('FILE_TOO_LARGE', 'a file of the snapshot is too large', {
    path,
    expected: `at most ${maxBytes} bytes`,
    found: `${size} bytes`,
  });
}

function openFile(path: string): SourceFile {
  let opened: SourceFile;
  try {
    opened = SourceFile.open(path);
  } catch (error) {
    throw fileMissing(path, error);
  }
  if (opened.stats.isFile()) return opened;
  opened.close();
  throw notAFile(path);
}

/** The place where a snapshot is staged. */
interface Site {
  /** The snapshot dir. */
  readonly place: HeldDirectory;
  readonly work: WorkDirectory;
  readonly made: readonly MadeDirectory[];
}

class StagedDirectory implements StagedSnapshot {
  readonly #site: Site;
  readonly #name: string;
  /** The directory that will be renamed; the lock is next to it. */
  readonly #staging: string;
  readonly #dirs = new Set<string>();
  readonly #open = new Set<FileHandle>();
  #spots = 0;

  constructor(site: Site, name: string) {
    this.#site = site;
    this.#name = name;
    this.#staging = join(site.work.path, STAGED);
  }

  async put(file: string, bytes: Uint8Array, modified?: Date): Promise<void> {
    const path = this.#pathFor(file);
    await writeDurably(path, bytes).catch((error: unknown) => {
      throw isThere(error) ? fileExists(path, error) : error;
    });
    if (modified !== undefined) await utimes(path, modified, modified);
  }

  async adopt(
    file: string,
    from: StoredSnapshot,
    maxBytes: number,
    accept: ((file: Recipe<Pieces>) => Promise<boolean>) | undefined,
    how: Adoption = 'link or copy',
  ): Promise<number | undefined> {
    const path = this.#pathFor(file);
    // It gets its new name first: then the checked file is the file that stays, even if the other snapshot is
    // removed.
    const size = await adopted(join(from.location, file), path, maxBytes, how);
    if (size === undefined || (await isUsable(path, maxBytes, accept))) return size;
    await rm(path);
    return undefined;
  }

  async facts(file: string): Promise<StoredFileFacts> {
    return factsOf(this.#pathFor(file));
  }

  async remove(file: string): Promise<void> {
    await rm(this.#pathFor(file));
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

  spot(): StagedSpot {
    this.#spots += 1;
    const path = this.#pathFor(`.spot-${this.#spots}`);
    return {
      writer: recipeFor(writing, path),
      name: async (file) => {
        const named = this.#pathFor(file);
        // The staging directory is ours alone, so nothing can come between the two calls.
        if (await exists(named)) throw fileExists(named);
        await rename(path, named);
      },
      remove: async () => rm(path, { force: true }),
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
    const { place, work } = this.#site;
    const final = place.at(this.#name);
    let old: string | undefined;
    if (await exists(final)) {
      if (!replace) throw snapshotExists(final);
      old = join(work.path, REPLACED);
      await rename(final, old).catch((error: unknown) => {
        // Another process is replacing it too, and has just moved it away.
        if (!isMissing(error)) throw error;
        old = undefined;
      });
    }
    let isVisible = false;
    try {
      await rename(this.#staging, final);
      isVisible = true;
      await syncDirectory(place.path);
    } catch (error) {
      if (isVisible) await rename(final, this.#staging);
      // Another process has published its own meanwhile: it has replaced the old one too.
      if (isThere(error)) throw snapshotExists(final, error);
      if (old !== undefined) await rename(old, final);
      throw error;
    }
    this.#close();
  }

  async discard(): Promise<void> {
    for (const handle of this.#open) await handle.close();
    this.#close();
    await unmakeDirectories(this.#site.made);
  }

  async leave(): Promise<void> {
    for (const handle of this.#open) await handle.close();
    this.#site.work.leave();
    this.#site.place.close();
  }

  #close(): void {
    this.#site.work.remove();
    this.#site.place.close();
  }
}

/** Makes a file, in any thread. */
export async function startSpot(path: string): Promise<StagedFile> {
  const handle = await open(path, 'wx');
  return {
    write: async (bytes) => writeFully(handle, bytes),
    close: async () => {
      await handle.sync();
      await handle.close();
    },
  };
}

const writing = workerTask(import.meta.url, startSpot);

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** As {@link adoptFile}; also undefined if `from` does not exist or cannot be read. */
async function adopted(
  from: string,
  to: string,
  maxBytes: number,
  how: Adoption,
): Promise<number | undefined> {
  return adoptFile(from, to, maxBytes, how).catch((error: unknown) => {
    if (isMissing(error) || isNotPermitted(error)) return undefined;
    throw isThere(error) ? fileExists(to, error) : error;
  });
}

/** Whether an adopted file is accepted; without `accept`, whether it can be read. */
async function isUsable(
  path: string,
  maxBytes: number,
  accept: ((file: Recipe<Pieces>) => Promise<boolean>) | undefined,
): Promise<boolean> {
  try {
    if (accept !== undefined) return await accept(recipeOf(path, maxBytes));
    await access(path, constants.R_OK);
    return true;
  } catch (error) {
    if (isNotPermitted(error)) return false;
    throw error;
  }
}

function snapshotExists(path: string, cause?: unknown): SwingSnapError {
  return new SwingSnapError('SNAPSHOT_EXISTS', 'the snapshot already exists', {
    path: withShownPaths(path),
    hint: 'use --replace to replace it with the new one',
    cause,
  });
}

function isThere(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  // rename(2) reports either one for a directory that is not empty.
  return code === 'EEXIST' || code === 'ENOTEMPTY';
}

function notAFile(path: string): VerificationError {
  return new VerificationError('NOT_A_FILE', 'a file of the snapshot is not a regular file', {
    path,
  });
}

function fileMissing(path: string, cause: unknown): unknown {
  if (!isMissing(cause)) return cause;
  return new NotFoundError('FILE_MISSING', 'a file of the snapshot is missing', { path, cause });
}
