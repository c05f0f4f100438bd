/** Moves a built SwingStore to where the node looks for it, and an old one out of the way. */
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { join } from 'node:path';
import { SwingSnapError } from '../../errors.ts';
import { syncDirectory } from '../../io/publish-file.ts';
import { refuseOpenDatabase } from './open-handles.ts';
import { DATABASE_FILE, databasePath } from './layout.ts';

export interface InstalledStore {
  readonly databasePath: string;
  /** Bytes of the database file. */
  readonly size: number;
  /** Where the files of the old store are, if there was one. */
  readonly movedTo: string | undefined;
}

/** Files in a state dir that are a SwingStore's, or that SQLite would take for one's. */
export async function existingStoreFiles(stateDir: string): Promise<string[]> {
  const names = await readdir(stateDir).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => name.startsWith(DATABASE_FILE)).sort();
}

/**
 * @throws {SwingSnapError} `STORE_EXISTS` if any `swingstore.sqlite*` is in `stateDir`: SQLite would replay an old
 *   `-wal` or `-journal` into a new database
 */
export async function refuseExistingStore(stateDir: string): Promise<void> {
  const files = await existingStoreFiles(stateDir);
  if (files.length === 0) return;
  throw new SwingSnapError('STORE_EXISTS', 'a SwingStore, or a part of one, is there already', {
    path: stateDir,
    found: files.join(', '),
    hint: 'stop the node and use --replace, which moves these files aside',
  });
}

/** Brings the database in `staging` to the disk, with the owner and the mode that it will have in `stateDir`. */
export async function makeDurable(stateDir: string, staging: string): Promise<void> {
  const built = join(staging, DATABASE_FILE);
  await ownLike(stateDir, built);
  const file = await open(built);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Installs the durable database in `staging` as the SwingStore of `stateDir`. On failure the old store is where it was.
 * @throws {SwingSnapError} `STORE_EXISTS`; {@link BusyError} `STORE_OPEN` if a process has the old store open
 */
export async function installStore(
  stateDir: string,
  staging: string,
  { replace, height }: { readonly replace: boolean; readonly height: number },
): Promise<InstalledStore> {
  const built = join(staging, DATABASE_FILE);
  const { size } = await stat(built);

  const old = await existingStoreFiles(stateDir);
  if (old.length > 0 && !replace) await refuseExistingStore(stateDir);
  const path = databasePath(stateDir);
  const movedTo = old.length === 0 ? undefined : await moveAside(stateDir, staging, height, old);
  try {
    // Unlike a rename, a link never replaces a file that came meanwhile.
    await link(built, path);
    await syncDirectory(stateDir);
  } catch (error) {
    if (await isSameFile(built, path)) await rm(path);
    if (movedTo !== undefined) await moveBack(movedTo, stateDir, old);
    throw error;
  }
  await rm(built);
  return { databasePath: path, size, movedTo };
}

async function ownLike(dir: string, path: string): Promise<void> {
  const { uid, gid, mode } = await stat(dir);
  await chmod(path, mode & 0o666);
  const own = await stat(path);
  if (own.uid !== uid || own.gid !== gid) await chown(path, uid, gid);
}

/**
 * Moves the old store to `S/before-<height>-<time>/`. That directory appears with all of it, as links, before the
 * first file goes from `stateDir`: a database whose `-wal` is elsewhere would lack its last commits.
 */
async function moveAside(
  stateDir: string,
  staging: string,
  height: number,
  files: readonly string[],
): Promise<string> {
  if (files.includes(DATABASE_FILE)) await refuseOpenDatabase(databasePath(stateDir), staging);
  const target = freeName(stateDir, height);
  const linked = join(staging, 'before');
  const { uid, gid, mode } = await stat(stateDir);
  await mkdir(linked);
  await chmod(linked, mode);
  await chown(linked, uid, gid);
  for (const file of files) await link(join(stateDir, file), join(linked, file));
  await syncDirectory(linked);
  await rename(linked, target);
  try {
    await syncDirectory(stateDir);
    // The database first: what else there is means nothing without it.
    for (const file of files) await rm(join(stateDir, file));
  } catch (error) {
    await moveBack(target, stateDir, files);
    throw error;
  }
  return target;
}

/** `before-<height>-<time>`, with a number where two come in one second. */
function freeName(stateDir: string, height: number): string {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/gu, '');
  const first = join(stateDir, `before-${String(height)}-${time}`);
  let name = first;
  for (let n = 2; existsSync(name); n += 1) name = `${first}-${String(n)}`;
  return name;
}

/** Undoes {@link moveAside}, the database last. What others put in its place meanwhile stays, and so does `from`. */
async function moveBack(from: string, to: string, files: readonly string[]): Promise<void> {
  for (const file of files.toReversed()) {
    const [kept, back] = [join(from, file), join(to, file)];
    try {
      await link(kept, back);
    } catch {
      if (await isSameFile(kept, back)) continue;
      if ((await lstat(back).catch(() => undefined)) !== undefined) return;
      // No space for one more name: then the one that it has is moved.
      await rename(kept, back);
    }
  }
  await rm(from, { recursive: true });
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map(async (path) => lstat(path).catch(() => null)));
  return one?.ino !== undefined && one.ino === other?.ino;
}
