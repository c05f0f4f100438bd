/** Directories that are made when needed, and removed again if the work fails. */
import { lstatSync, mkdirSync, existsSync, readdirSync, rmdirSync, type Stats } from 'node:fs';
import { dirname, basename, resolve } from 'node:path';
import { HeldDirectory, inDirectory, isSame } from './held-directory.ts';
import { syncDirectory } from './publish-file.ts';

/** A directory that was made, with its identity, in case another process replaces it. */
export interface MadeDirectory {
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
}

export interface MakeDirectoryOptions {
  /** Whether root gives new directories to the owner and group of the parent directory. */
  readonly ownedAsAbove?: boolean;
}

/**
 * Makes `dir` and its missing parents, durably.
 * @returns the directories that were made, innermost first
 */
export async function makeDirectory(
  dir: string,
  options: MakeDirectoryOptions = {},
): Promise<MadeDirectory[]> {
  const made: MadeDirectory[] = [];
  const [existing, ...missing] = pathFromExisting(resolve(dir));
  // An existing directory need not be readable.
  if (missing.length === 0) return made;
  let at = HeldDirectory.openLinked(existing);
  try {
    for (const name of missing) {
      const below = await makeIn(at, name, made, options);
      at.close();
      at = below;
    }
  } catch (error) {
    await unmakeDirectories(made);
    throw error;
  } finally {
    at.close();
  }
  return made;
}

/** The nearest directory that exists, and the names from there to `path`. */
function pathFromExisting(path: string): [existing: string, ...missing: string[]] {
  if (existsSync(path) || dirname(path) === path) return [path];
  const [existing, ...missing] = pathFromExisting(dirname(path));
  return [existing, ...missing, basename(path)];
}

async function makeIn(
  above: HeldDirectory,
  name: string,
  made: MadeDirectory[],
  { ownedAsAbove = false }: MakeDirectoryOptions,
): Promise<HeldDirectory> {
  try {
    mkdirSync(above.at(name));
  } catch (error) {
    // Another process made it meanwhile.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return above.openInside(name);
    throw error;
  }
  const directory = above.openInside(name);
  try {
    const { dev, ino } = directory.stat;
    made.unshift({ path: directory.location, dev, ino });
    if (ownedAsAbove) giveAsAbove(directory, above);
    await syncDirectory(above.path);
    return directory;
  } catch (error) {
    directory.close();
    throw error;
  }
}

function giveAsAbove(directory: HeldDirectory, above: HeldDirectory): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = above.stat;
  const own = directory.stat;
  if (own.uid === uid && own.gid === gid) return;
  // The parent's owner may have put another directory of root's in place of the new one, which is empty.
  if (readdirSync(directory.path).length === 0) directory.chown(uid, gid);
}

/** Removes directories that `makeDirectory` made, if they are empty and still in place. */
export async function unmakeDirectories(made: readonly MadeDirectory[]): Promise<void> {
  await removeInTurn(made, isSame);
}

/** Removes directories that another process made, innermost first, if they are empty. */
export async function removeEmptyDirectories(paths: readonly string[]): Promise<void> {
  const directories = paths.map((path) => ({ path }));
  await removeInTurn(directories, () => true);
}

async function removeInTurn<Directory extends { readonly path: string }>(
  directories: readonly Directory[],
  isStill: (found: Stats | undefined, directory: Directory) => boolean,
): Promise<void> {
  try {
    for (const directory of directories) {
      await inDirectory(dirname(directory.path), async (above) => {
        const path = above.at(basename(directory.path));
        if (isStill(lstatSync(path, { throwIfNoEntry: false }), directory)) rmdirSync(path);
      });
    }
  } catch {
    // Another process has put something in it, or in its place: it stays.
  }
}

/**
 * Makes `dir` and its missing parents. Node's recursive `mkdir` never returns if a directory exists but creating an
 * entry in it fails with `ENOENT`: a removed directory that is held, or one below an automounter's.
 * @param mode of each new directory, less the umask
 */
export function makeWithParents(dir: string, mode = 0o777): void {
  if (lstatSync(dir, { throwIfNoEntry: false }) !== undefined) return;
  makeWithParents(dirname(dir), mode);
  try {
    mkdirSync(dir, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
