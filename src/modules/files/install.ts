/** A tree that is received into a directory: built beside it, and there by one rename. */
import { existsSync, lstatSync, statSync, type Stats } from 'node:fs';
import { chmod, chown, lstat, mkdir, open, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { SwingSnapError } from '../../errors.ts';
import { HeldDirectory, inDirectory, isSame } from '../../io/files/held-directory.ts';
import {
  makeDirectory,
  unmakeDirectories,
  type MadeDirectory,
} from '../../io/files/made-directory.ts';
import { syncDirectory, writeFully } from '../../io/files/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../io/files/scratch.ts';
import { namesOf, removeLeftovers, WorkDirectory } from '../../io/files/work-directory.ts';
import type { InstalledState, StateContext } from '../../snapshot/module-contract.ts';
import { ROOT } from './layout.ts';
import { fieldsOfTree } from './read.ts';
import { verifyTree, type TreeFile, type TreeTarget } from './target.ts';

const WORK_PREFIX = `${TEMPORARY_PREFIX}files-`;

/**
 * Puts a tree where `dir` is, or will be. One that is there and the same stays: so a restore that was killed between two
 * installs can be run again.
 * @throws {SwingSnapError} `FILES_EXIST` if something else is there and may not be replaced
 */
export async function installTree(
  dir: string,
  { replace, context }: { readonly replace: boolean; readonly context: StateContext },
): Promise<TreeTarget> {
  const path = resolve(dir);
  // Also where nothing has to be made: it may be what a killed restore has installed.
  if (existsSync(dirname(path))) removeLeftovers(dirname(path), namesOf(WORK_PREFIX));
  if (await isOccupied(path)) {
    if (await isTheSame(path, context)) return verifyTree(path);
    if (!replace) throw filesExist(path);
  }
  const made = await makeDirectory(dirname(path), { ownedAsAbove: true });
  let place: HeldDirectory | undefined;
  try {
    place = HeldDirectory.openLinked(dirname(path));
    const site = { place, work: makeWork(place), made };
    return new InstalledTree(path, site, { replace, height: context.height });
  } catch (error) {
    place?.close();
    await unmakeDirectories(made);
    throw error;
  }
}

/** Whether something is there that a rename may not replace. */
async function isOccupied(path: string): Promise<boolean> {
  const found = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return false;
  return !found.isDirectory() || (await readdir(path)).length > 0;
}

async function isTheSame(path: string, { trusted }: StateContext): Promise<boolean> {
  try {
    return (await fieldsOfTree(path)).contentHash === trusted?.['contentHash'];
  } catch (error) {
    // What cannot be carried is not what a snapshot carries.
    if (error instanceof SwingSnapError) return false;
    throw error;
  }
}

/** Where a tree is built. */
interface Site {
  /** The directory above the tree's place. */
  readonly place: HeldDirectory;
  readonly work: WorkDirectory;
  readonly made: readonly MadeDirectory[];
}

interface InstallOptions {
  readonly replace: boolean;
  readonly height: number;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

class InstalledTree implements TreeTarget {
  readonly #path: string;
  /** {@link #path} as it is reached. */
  readonly #final: string;
  readonly #site: Site;
  readonly #options: InstallOptions;
  readonly #tree: string;
  #owner: Owner | undefined;
  /** Of the root. */
  #mode = 0o700;
  #open: { close(): Promise<void> } | undefined;
  #isInstalled = false;

  constructor(path: string, site: Site, options: InstallOptions) {
    this.#path = path;
    this.#final = site.place.at(basename(path));
    this.#site = site;
    this.#options = options;
    this.#tree = join(site.work.path, 'tree');
  }

  async directory(path: string): Promise<void> {
    // Its own mode comes when all is in it: it may deny writing to all users.
    await mkdir(join(this.#tree, path), { mode: 0o700 });
  }

  async leave(path: string, mode: number): Promise<void> {
    const full = join(this.#tree, path);
    await syncDirectory(full);
    await this.#own(async ({ uid, gid }) => chown(full, uid, gid));
    // A directory that its owner cannot write to cannot be moved either.
    if (path === ROOT) this.#mode = mode;
    await chmod(full, path === ROOT ? mode | 0o700 : mode);
  }

  async file(path: string): Promise<TreeFile> {
    const handle = await open(join(this.#tree, path), 'wx', 0o600);
    this.#open = handle;
    return {
      write: async (bytes) => writeFully(handle, bytes),
      finish: async (mode) => {
        await this.#own(async ({ uid, gid }) => handle.chown(uid, gid));
        await handle.chmod(mode);
        await handle.sync();
        this.#open = undefined;
        await handle.close();
      },
    };
  }

  /** Root gives everything to the owner of what is replaced, or of the directory above. */
  async #own(give: (owner: Owner) => Promise<void>): Promise<void> {
    if (process.geteuid?.() !== 0) return;
    this.#owner ??= ownerAt(this.#final) ?? this.#site.place.stat;
    await give(this.#owner);
  }

  async took(): Promise<void> {
    // It is durable already.
  }

  async done(): Promise<void> {
    await syncDirectory(this.#site.work.path);
  }

  async install(): Promise<InstalledState> {
    const { replace, height } = this.#options;
    const { place, work } = this.#site;
    const isOld = await isOccupied(this.#final);
    if (isOld && !replace) throw filesExist(this.#path);
    const aside = isOld ? await freeName(place, basename(this.#path), height) : undefined;
    const tree = HeldDirectory.open(this.#tree);
    const installed = tree.stat;
    try {
      if (aside !== undefined) await rename(this.#final, place.at(aside));
      try {
        await rename(this.#tree, this.#final);
      } catch (error) {
        if (aside !== undefined) await rename(place.at(aside), this.#final);
        throw isThere(error) ? filesExist(this.#path, error) : error;
      }
      this.#isInstalled = true;
      tree.chmod(this.#mode);
    } finally {
      tree.close();
    }
    await syncDirectory(place.path);
    work.remove();
    place.close();
    const movedTo = aside === undefined ? undefined : join(dirname(this.#path), aside);
    return { path: this.#path, movedTo, undo: async () => this.#undo(installed, aside) };
  }

  /** What has taken the tree's place meanwhile stays, and then so does what was moved aside. */
  async #undo(installed: Stats, aside: string | undefined): Promise<void> {
    await inDirectory(dirname(this.#path), async (place) => {
      const name = basename(this.#path);
      const tree = place.openInside(name);
      const isOurs = isSame(tree.stat, installed);
      // A directory that its owner cannot write to cannot be moved.
      if (isOurs) tree.chmod(0o700);
      tree.close();
      if (!isOurs) return;
      const work = makeWork(place);
      await rename(place.at(name), join(work.path, 'tree'));
      if (aside !== undefined) await rename(place.at(aside), place.at(name));
      work.remove();
    });
    await unmakeDirectories(this.#site.made);
  }

  async abort(): Promise<void> {
    if (this.#isInstalled) return;
    const handle = this.#open;
    this.#open = undefined;
    await handle?.close();
    this.#site.work.remove();
    this.#site.place.close();
    await unmakeDirectories(this.#site.made);
  }
}

/** Whom that belongs to which a tree takes the place of; what a link of another user leads to does not tell. */
function ownerAt(path: string): Owner | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  const isFollowed = found?.isSymbolicLink() === true && found.uid === process.geteuid?.();
  return isFollowed ? statSync(path, { throwIfNoEntry: false }) : found;
}

function makeWork(place: HeldDirectory): WorkDirectory {
  return WorkDirectory.make(place.path, WORK_PREFIX);
}

/** `<dir>.before-<height>-<time>`, with a number where two come in one second. */
async function freeName(place: HeldDirectory, of: string, height: number): Promise<string> {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/gu, '');
  const first = `${of}.before-${height}-${time}`;
  let name = first;
  for (let n = 2; await isOccupied(place.at(name)); n += 1) name = `${first}-${n}`;
  return name;
}

function isThere(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EEXIST' || code === 'ENOTEMPTY' || code === 'ENOTDIR';
}

function filesExist(path: string, cause?: unknown): SwingSnapError {
  return new SwingSnapError('FILES_EXIST', 'other files are there already', {
    path,
    expected: 'nothing, an empty directory, or the same files',
    hint: 'stop the node and use --replace, which moves them aside',
    cause,
  });
}
