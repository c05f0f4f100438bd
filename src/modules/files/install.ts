/** Installs a received tree as a directory: builds it next to its place, and moves it there with one rename. */
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
 * Installs a tree at `dir`. If the same tree is there already it stays, so that a restore that was killed between two
 * installs can be run again.
 * @throws {SwingSnapError} `FILES_EXIST` if `dir` holds something else and `replace` is off
 */
export async function installTree(
  dir: string,
  { replace, context }: { readonly replace: boolean; readonly context: StateContext },
): Promise<TreeTarget> {
  const path = resolve(dir);
  // Also before the early return: a killed restore may have installed the tree.
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

/** Whether `path` holds something that a rename may not replace. */
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
    // A tree that a snapshot cannot carry is not the one that it carries.
    if (error instanceof SwingSnapError) return false;
    throw error;
  }
}

/** Where a tree is built. */
interface Site {
  /** The parent directory of the tree. */
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
  /** {@link #path}, reached through the held parent. */
  readonly #final: string;
  readonly #site: Site;
  readonly #options: InstallOptions;
  readonly #tree: string;
  #owner: Owner | undefined;
  /** Mode of the root. */
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
    // Its own mode is set when it is complete: that mode may forbid writing.
    await mkdir(join(this.#tree, path), { mode: 0o700 });
  }

  async leave(path: string, mode: number): Promise<void> {
    const full = join(this.#tree, path);
    await syncDirectory(full);
    await this.#own(async ({ uid, gid }) => chown(full, uid, gid));
    // A directory that its owner cannot write to cannot be moved.
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

  /** When run as root, gives everything to the owner of the replaced tree, or else of the parent directory. */
  async #own(give: (owner: Owner) => Promise<void>): Promise<void> {
    if (process.geteuid?.() !== 0) return;
    this.#owner ??= ownerAt(this.#final) ?? this.#site.place.stat;
    await give(this.#owner);
  }

  async took(): Promise<void> {
    // Already durable.
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

  /**
   * If something else has taken the tree's place in the meantime, it stays, and so does the tree that was moved
   * aside.
   */
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

/** Owner of what is at `path`. A link is followed only if it is ours, not if it belongs to another user. */
function ownerAt(path: string): Owner | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  const isFollowed = found?.isSymbolicLink() === true && found.uid === process.geteuid?.();
  return isFollowed ? statSync(path, { throwIfNoEntry: false }) : found;
}

function makeWork(place: HeldDirectory): WorkDirectory {
  return WorkDirectory.make(place.path, WORK_PREFIX);
}

/** `<dir>.before-<height>-<time>`, numbered if two fall into the same second. */
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
  return new SwingSnapError('FILES_EXIST', 'the directory already holds other files', {
    path,
    expected: 'nothing, an empty directory, or the same files',
    hint: 'stop the node and use --replace, which moves them aside',
    cause,
  });
}
