/** Moves a built SwingStore into place, and moves an old one aside. */
import {
  constants,
  existsSync,
  linkSync,
  lstatSync,
  realpathSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { SwingSnapError } from '../../../errors.ts';
import { withShownPaths } from '../../../io/files/descriptor-names.ts';
import { HeldDirectory, isSame } from '../../../io/files/held-directory.ts';
import { makeOneDirectory } from '../../../io/files/made-directory.ts';
import { lacksHardLinks, linkOrMove, syncDirectory } from '../../../io/files/publish-file.ts';
import { listed } from '../../../io/listed.ts';
import { DATABASE_FILE, databasePath } from '../layout.ts';
import { refuseOpenDatabase } from '../open-handles.ts';

export interface InstalledStore {
  readonly databasePath: string;
  /** Bytes of the database file. */
  readonly size: number;
  /** Directory that holds the files of the old store, if there was one. */
  readonly movedTo: string | undefined;
  /** The file of the old database, if a link led to it. Only the link was moved. */
  readonly linkedTo: string | undefined;
}

/** Files in a state dir that belong to a SwingStore, or that SQLite would treat as such. */
export async function existingStoreFiles(stateDir: string): Promise<string[]> {
  const names = await readdir(stateDir).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => name.startsWith(DATABASE_FILE)).sort();
}

/**
 * @throws {SwingSnapError} `STORE_EXISTS` if `stateDir` holds any `swingstore.sqlite*`: SQLite would replay an old
 *   `-wal` or `-journal` into a new database
 */
export async function refuseExistingStore(stateDir: string): Promise<void> {
  const files = await existingStoreFiles(stateDir);
  if (files.length === 0) return;
  throw new SwingSnapError(
    'STORE_EXISTS',
    'the directory already holds a SwingStore, or part of one',
    {
      path: withShownPaths(stateDir),
      found: listed(files),
      hint: 'stop the node and use --replace, which moves these files aside',
    },
  );
}

/**
 * Checks that an existing store in `stateDir` can be moved aside.
 * @throws {SwingSnapError} `STORE_EXISTS` if a directory is among its files: it is not of SQLite, and stays
 * @throws {BusyError} `STORE_OPEN`
 */
export async function refuseImmovableStore(stateDir: string): Promise<void> {
  const files = await existingStoreFiles(stateDir);
  const directory = files.find((name) => lstatSync(join(stateDir, name)).isDirectory());
  if (directory !== undefined) {
    throw new SwingSnapError('STORE_EXISTS', 'a directory is in the way of the new SwingStore', {
      path: withShownPaths(join(stateDir, directory)),
      hint: 'move it to another directory, or give it a name that does not begin with swingstore.sqlite',
    });
  }
  if (files.includes(DATABASE_FILE)) await refuseOpenDatabase(join(stateDir, DATABASE_FILE));
}

/** The only permission that a new database does not inherit from its directory. */
const WRITE_OF_OTHERS = 0o002;

/**
 * Syncs the database in `staging` to disk, with the owner and mode that it will have in the state dir.
 * @param staging a directory of ours, where no other user can swap the file
 */
export async function makeDurable(stateDir: HeldDirectory, staging: string): Promise<void> {
  const file = await open(join(staging, DATABASE_FILE), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { uid, gid, mode } = stateDir.stat;
    const own = await file.stat();
    if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid);
    await file.chmod(mode & 0o666 & ~WRITE_OF_OTHERS);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Installs the durable database in `staging` as the SwingStore of the state dir. On failure the old store stays in
 * place.
 * @throws {SwingSnapError} `STORE_EXISTS`; {@link BusyError} `STORE_OPEN` if a process has the old store open
 */
export async function installStore(
  stateDir: HeldDirectory,
  staging: string,
  { replace, height }: { readonly replace: boolean; readonly height: number },
): Promise<InstalledStore> {
  const built = join(staging, DATABASE_FILE);
  const file = lstatSync(built);

  const old = await existingStoreFiles(stateDir.path);
  if (old.length > 0 && !replace) await refuseExistingStore(stateDir.path);
  const path = stateDir.at(DATABASE_FILE);
  const linkedTo = targetOfLink(path);
  const aside = old.length === 0 ? undefined : await moveAside(stateDir, staging, height, old);
  try {
    linkOrMove(built, path);
    await syncDirectory(stateDir.path);
  } catch (error) {
    if (isSame(lstatSync(path, { throwIfNoEntry: false }), file)) unlinkSync(path);
    if (aside !== undefined) moveBack(aside, stateDir, old);
    throw error;
  } finally {
    aside?.close();
  }
  rmSync(built, { force: true });
  const movedTo = aside?.location;
  return { databasePath: databasePath(stateDir.location), size: file.size, movedTo, linkedTo };
}

/** @returns undefined if there is no link at `path`, or it leads nowhere */
function targetOfLink(path: string): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return undefined;
  return existsSync(path) ? realpathSync(path) : undefined;
}

/**
 * Moves the old store to `S/before-<height>-<time>/`. That directory appears with links to all files before the first
 * file is removed from the state dir: a database without its `-wal` would lack the last commits. Where the file system has
 * no hard links, the files are moved one by one.
 * @returns the directory, held open
 */
async function moveAside(
  stateDir: HeldDirectory,
  staging: string,
  height: number,
  files: readonly string[],
): Promise<HeldDirectory> {
  if (files.includes(DATABASE_FILE)) {
    await refuseOpenDatabase(stateDir.at(DATABASE_FILE), staging);
  }
  const linked = join(staging, 'before');
  const areLinked = await linkInto(linked, stateDir, files);
  const name = freeName(stateDir, height);
  renameSync(linked, stateDir.at(name));
  const aside = stateDir.openInside(name);
  try {
    await syncDirectory(stateDir.path);
    // The database first: its side files mean nothing without it.
    for (const file of files) {
      if (areLinked) unlinkSync(stateDir.at(file));
      else renameSync(stateDir.at(file), aside.at(file));
    }
    return aside;
  } catch (error) {
    moveBack(aside, stateDir, files);
    aside.close();
    throw error;
  }
}

/**
 * Makes a directory with the owner and mode of the state dir, and hard-links the files into it.
 * @returns false if the file system has no hard links: then the directory is empty
 */
async function linkInto(
  path: string,
  stateDir: HeldDirectory,
  files: readonly string[],
): Promise<boolean> {
  makeOneDirectory(path);
  const directory = HeldDirectory.open(path);
  try {
    const areLinked = tryLink(files, stateDir, directory);
    const { uid, gid, mode } = stateDir.stat;
    directory.chown(uid, gid);
    directory.chmod(mode);
    await syncDirectory(directory.path);
    return areLinked;
  } finally {
    directory.close();
  }
}

function tryLink(files: readonly string[], from: HeldDirectory, to: HeldDirectory): boolean {
  try {
    for (const file of files) linkSync(from.at(file), to.at(file));
    return true;
  } catch (error) {
    if (!lacksHardLinks(error)) throw error;
    to.empty();
    return false;
  }
}

/** `before-<height>-<time>`, numbered if two fall into the same second. */
function freeName(stateDir: HeldDirectory, height: number): string {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/gu, '');
  const first = `before-${height}-${time}`;
  let name = first;
  for (let n = 2; existsSync(stateDir.at(name)); n += 1) name = `${first}-${n}`;
  return name;
}

/** Undoes {@link moveAside}, the database last. If another process has made a file of that name, it keeps both. */
function moveBack(aside: HeldDirectory, stateDir: HeldDirectory, files: readonly string[]): void {
  for (const file of files.toReversed()) {
    const [kept, back] = [aside.at(file), stateDir.at(file)];
    // Without hard links, it was not moved yet.
    if (lstatSync(kept, { throwIfNoEntry: false }) === undefined) continue;
    try {
      linkSync(kept, back);
    } catch {
      if (isSameFile(kept, back)) continue;
      if (lstatSync(back, { throwIfNoEntry: false }) !== undefined) return;
      // The link failed, perhaps for lack of space: move the existing name.
      renameSync(kept, back);
    }
  }
  stateDir.discard(basename(aside.location));
}

function isSameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => lstatSync(path, { throwIfNoEntry: false }));
  return isSame(one, other);
}
