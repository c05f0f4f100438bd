/** Directories that are made when needed, and removed again if the work fails. */
import { lstatSync, mkdirSync, readdirSync, rmdirSync, type Stats } from 'node:fs';
import { dirname, basename, resolve } from 'node:path';
import { StorageError } from '../../errors.ts';
import { withShownPaths } from './descriptor-names.ts';
import { HeldDirectory, inDirectory, isSame } from './held-directory.ts';
import { syncDirectory } from './publish-file.ts';
import { statIfThere } from './stat-if-there.ts';
import { isMissing, systemCode, systemTrouble } from './system-error.ts';

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
 * @throws {StorageError} `LINK_TO_NOTHING`; as {@link makeOneDirectory}
 */
export async function makeDirectory(
  dir: string,
  options: MakeDirectoryOptions = {},
): Promise<MadeDirectory[]> {
  const made: MadeDirectory[] = [];
  const missing = missingDirectories(dir);
  // An existing directory need not be readable.
  const [outermost] = missing;
  if (outermost === undefined) return made;
  let at = HeldDirectory.openLinked(dirname(outermost));
  try {
    for (const path of missing) {
      const below = await makeIn(at, basename(path), made, options);
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

/**
 * Those of `dir` and the directories above it that do not exist, the outermost first.
 * @throws {StorageError} `LINK_TO_NOTHING`
 */
export function missingDirectories(dir: string): string[] {
  const missing: string[] = [];
  for (let at = resolve(dir); statIfThere(at) === undefined; at = dirname(at)) missing.unshift(at);
  return missing;
}

/**
 * Makes the directory `path`, whose parent exists. All directories are made one by one: Node's recursive `mkdir` never
 * returns if a directory exists but creating an entry in it fails with `ENOENT`, as below `/proc` or an automounter's.
 * @param mode less the umask
 * @returns whether it was made; false if something is there already
 * @throws {StorageError} if it cannot be made, with the system's code where that is about disks and permissions, else
 *   `MAKE_DIRECTORY`
 */
export function makeOneDirectory(path: string, mode = 0o777): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (cause) {
    const found = systemCode(cause);
    if (found === 'EEXIST') return false;
    const trouble = systemTrouble(cause);
    const code = trouble === undefined || isMissing(cause) ? 'MAKE_DIRECTORY' : trouble.code;
    throw new StorageError(code, 'a directory cannot be made', {
      path: withShownPaths(path),
      found,
      hint: trouble?.hint,
      cause,
    });
  }
}

async function makeIn(
  above: HeldDirectory,
  name: string,
  made: MadeDirectory[],
  { ownedAsAbove = false }: MakeDirectoryOptions,
): Promise<HeldDirectory> {
  const isMade = makeOneDirectory(above.at(name));
  const directory = above.openInside(name);
  // Another process made it meanwhile.
  if (!isMade) return directory;
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
 * Makes `dir` and its missing parents, without making them durable.
 * @param mode of each new directory, less the umask
 * @throws as {@link makeOneDirectory}
 */
export function makeWithParents(dir: string, mode = 0o777): void {
  if (lstatSync(dir, { throwIfNoEntry: false }) !== undefined) return;
  makeWithParents(dirname(dir), mode);
  makeOneDirectory(dir, mode);
}
