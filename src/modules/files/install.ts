/** A tree that is received into a directory: built beside it, and there by one rename. */
import { chmodSync, existsSync, readdirSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { SwingSnapError } from '../../errors.ts';
import { makeDirectory, unmakeDirectories } from '../../io/made-directory.ts';
import { syncDirectory, writeFully } from '../../io/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../io/scratch.ts';
import { namesOf, removeLeftovers, WorkDirectory, type Rescue } from '../../io/work-directory.ts';
import type { InstalledState, StateContext } from '../contract.ts';
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
  if (existsSync(dirname(path)))
    removeLeftovers(dirname(path), namesOf(WORK_PREFIX), makeLeftRemovable);
  if (await isOccupied(path)) {
    if (await isTheSame(path, context)) return verifyTree(path);
    if (!replace) throw filesExist(path);
  }
  const made = await makeDirectory(dirname(path));
  try {
    const work = makeWork(path);
    return new InstalledTree(path, { made, work, replace, height: context.height });
  } catch (error) {
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

interface InstallOptions {
  readonly made: readonly string[];
  readonly work: WorkDirectory;
  readonly replace: boolean;
  readonly height: number;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

class InstalledTree implements TreeTarget {
  readonly #path: string;
  readonly #options: InstallOptions;
  readonly #tree: string;
  #owner: Owner | undefined;
  /** Of the root. */
  #mode = 0o700;
  #open: { close(): Promise<void> } | undefined;
  #isInstalled = false;

  constructor(path: string, options: InstallOptions) {
    this.#path = path;
    this.#options = options;
    this.#tree = join(options.work.path, 'tree');
  }

  async directory(path: string): Promise<void> {
    // Its own mode comes when all is in it: it may be one that nobody can write to.
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
    this.#owner ??= await stat(this.#path).catch(async () => stat(dirname(this.#path)));
    await give(this.#owner);
  }

  async took(): Promise<void> {
    // It is durable already.
  }

  async done(): Promise<void> {
    await syncDirectory(this.#options.work.path);
  }

  async install(): Promise<InstalledState> {
    const { replace, height, work } = this.#options;
    const path = this.#path;
    const isOld = await isOccupied(path);
    if (isOld && !replace) throw filesExist(path);
    const movedTo = isOld ? await freeName(path, height) : undefined;
    if (movedTo !== undefined) await rename(path, movedTo);
    try {
      await rename(this.#tree, path);
    } catch (error) {
      if (movedTo !== undefined) await rename(movedTo, path);
      throw isThere(error) ? filesExist(path, error) : error;
    }
    this.#isInstalled = true;
    await chmod(path, this.#mode);
    await syncDirectory(dirname(path));
    work.remove();
    return { path, movedTo, undo: async () => this.#undo(movedTo) };
  }

  async #undo(movedTo: string | undefined): Promise<void> {
    const work = makeWork(this.#path);
    await chmod(this.#path, 0o700);
    await rename(this.#path, join(work.path, 'tree'));
    if (movedTo !== undefined) await rename(movedTo, this.#path);
    makeRemovable(work.path);
    work.remove();
    await unmakeDirectories(this.#options.made);
  }

  async abort(): Promise<void> {
    if (this.#isInstalled) return;
    const handle = this.#open;
    this.#open = undefined;
    await handle?.close();
    makeRemovable(this.#options.work.path);
    this.#options.work.remove();
    await unmakeDirectories(this.#options.made);
  }
}

function makeWork(path: string): WorkDirectory {
  return WorkDirectory.make(dirname(path), WORK_PREFIX, undefined, makeLeftRemovable);
}

const makeLeftRemovable: Rescue = ({ path }) => {
  makeRemovable(path);
};

/** What is in a directory that its owner cannot write to can be removed by root only. */
function makeRemovable(dir: string): void {
  if (!existsSync(dir)) return;
  chmodSync(dir, 0o700);
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) makeRemovable(join(dir, entry.name));
  }
}

/** `<dir>.before-<height>-<time>`, with a number where two come in one second. */
async function freeName(path: string, height: number): Promise<string> {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/gu, '');
  const first = join(dirname(path), `${basename(path)}.before-${String(height)}-${time}`);
  let name = first;
  for (let n = 2; await isOccupied(name); n += 1) name = `${first}-${String(n)}`;
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
