/**
 * Detects other names (hard links) of a database. SQLite finds `-wal` and `-journal` by the name that it is given:
 * under a name other than the node's, the last commits are missing, or the database is torn. Unused names do no harm.
 * A killed restore leaves them, and `cp -al` of a store at rest makes them.
 */
import { lstatSync, readdirSync, readlinkSync, statSync, type BigIntStats } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { SwingSnapError } from '../../../errors.ts';
import { fileId, isHeld } from '../../../io/files/held-files.ts';
import { lockHolders } from '../posix-locks.ts';
import { isInWalMode } from './side-files.ts';

/**
 * @param database a path without links; the caller has no connection to this file
 * @throws {SwingSnapError} `OTHER_NAME` if the database is, or may be, in use under another name
 */
export function refuseOtherNameInUse(database: string): void {
  const found = find(database);
  // If we already hold the database, it was checked when it was first opened.
  if (found === undefined || found.nlink < 2n || isHeld(found)) return;
  const users = usersOf(found);
  const stranger = users.find((pid) => !usesName(pid, database));
  if (stranger !== undefined) {
    throw otherName(database, `process ${stranger} has it open under another name`);
  }
  if (users.length > 0 || hasBytes(`${database}-wal`)) return;
  const others = otherNames(database, found);
  for (const other of others) {
    const side = ['-wal', '-journal'].map((suffix) => other + suffix).find(hasBytes);
    if (side !== undefined) throw otherName(database, `${side} holds commits`);
  }
  if (others.length < Number(found.nlink) - 1 && isInWalMode(database)) {
    throw otherName(database, `${found.nlink} names, and no -wal beside this one`);
  }
}

function otherName(path: string, found: string): SwingSnapError {
  return new SwingSnapError(
    'OTHER_NAME',
    'the SwingStore has a second name (a hard link), which a node may be using',
    {
      path,
      found,
      hint: 'with --state-dir, name the directory that the node uses, or remove the unused name; list all names with: find <mount point> -xdev -samefile <path>',
    },
  );
}

/** Lstat of a path; undefined if it fails. */
function find(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}

function hasBytes(path: string): boolean {
  return (find(path)?.size ?? 0n) > 0n;
}

/** Other processes that have the database open, as far as the system shows. */
function usersOf(found: BigIntStats): number[] {
  const users = lockHolders(found);
  const pids = namesIn('/proc').filter((name) => /^\d+$/u.test(name));
  for (const pid of pids.map(Number)) {
    if (openFilesOf(pid).some(({ id }) => id === fileId(found))) users.add(pid);
  }
  users.delete(process.pid);
  return [...users];
}

/** Whether a process uses the database under this name: if so, it also has the `-shm` of that name open. */
function usesName(pid: number, database: string): boolean {
  const shm = find(`${database}-shm`);
  if (shm !== undefined && lockHolders(shm).has(pid)) return true;
  // A process in a container sees the same file under another path.
  return openFilesOf(pid).some(
    ({ id, path }) => path === database || (shm !== undefined && id === fileId(shm)),
  );
}

function openFilesOf(pid: number): { id: string; path: string }[] {
  const dir = `/proc/${pid}/fd`;
  return namesIn(dir).flatMap((name) => {
    try {
      const path = join(dir, name);
      return [{ id: fileId(statSync(path, { bigint: true })), path: readlinkSync(path) }];
    } catch {
      return [];
    }
  });
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/**
 * Looks for other names where they are likely: in the same directory; in the directories that `restore` makes in it;
 * and in siblings of each parent directory, under the same relative path, since a sibling may be a copy.
 */
function otherNames(database: string, found: BigIntStats): string[] {
  const [dir, file] = [dirname(database), basename(database)];
  const candidates = namesIn(dir).flatMap((name) => [join(dir, name), join(dir, name, file)]);
  for (let above = dir; above !== dirname(above); above = dirname(above)) {
    const rest = relative(above, database);
    const beside = dirname(above);
    candidates.push(...namesIn(beside).map((name) => join(beside, name, rest)));
  }
  // Several paths may lead to one directory.
  const names = new Map([[nameId(database), database]]);
  for (const path of candidates) {
    const other = find(path);
    if (other === undefined || fileId(other) !== fileId(found)) continue;
    if (!names.has(nameId(path))) names.set(nameId(path), path);
  }
  return [...names.values()].filter((path) => path !== database);
}

function nameId(path: string): string {
  const dir = find(dirname(path));
  return `${dir === undefined ? '' : fileId(dir)}/${basename(path)}`;
}
