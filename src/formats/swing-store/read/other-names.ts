/**
 * Further names of a database, which are hard links. SQLite finds `-wal` and `-journal` by the name that it was given: by
 * another than the node's, the last commits are not there, or the database is torn. Names that nothing uses are no
 * obstacle: what a killed restore has left, and copies that `cp -al` made of a store at rest.
 */
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync,
  type BigIntStats,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { SwingSnapError } from '../../../errors.ts';
import { fileId, isHeld } from '../../../io/files/held-files.ts';
import { lockHolders } from '../posix-locks.ts';

/**
 * @param database a path without links, of a file that no connection of this caller has open
 * @throws {SwingSnapError} `OTHER_NAME` if the database is, or may be, in use by another name
 */
export function refuseOtherNameInUse(database: string): void {
  const found = find(database);
  // By the name by which it is open here already, it was looked at.
  if (found === undefined || found.nlink < 2n || isHeld(found)) return;
  const users = usersOf(found);
  const stranger = users.find((pid) => !usesName(pid, database));
  if (stranger !== undefined) {
    throw otherName(database, `process ${stranger} has it open by another name`);
  }
  if (users.length > 0 || hasBytes(`${database}-wal`)) return;
  const others = otherNames(database, found);
  for (const other of others) {
    const side = ['-wal', '-journal'].map((suffix) => other + suffix).find(hasBytes);
    if (side !== undefined) throw otherName(database, `there are commits in ${side}`);
  }
  if (others.length < Number(found.nlink) - 1 && isInWalMode(database)) {
    throw otherName(database, `${found.nlink} names, and no -wal beside this one`);
  }
}

function otherName(path: string, found: string): SwingSnapError {
  return new SwingSnapError(
    'OTHER_NAME',
    'the SwingStore has another name (a hard link), by which a node may use it',
    {
      path,
      found,
      hint: 'name the directory in which the node has it, with --state-dir; or remove the name that is not used: find <mount point> -xdev -samefile <path> shows all',
    },
  );
}

/** What is at a path; undefined also where that cannot be seen. */
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

/** Other processes that have the database open, as far as the system shows them to us. */
function usersOf(found: BigIntStats): number[] {
  const users = lockHolders(found);
  const pids = namesIn('/proc').filter((name) => /^\d+$/u.test(name));
  for (const pid of pids.map(Number)) {
    if (openFilesOf(pid).some(({ id }) => id === fileId(found))) users.add(pid);
  }
  users.delete(process.pid);
  return [...users];
}

/** Whether a process that has the database open has it by this name: it then has what is beside it open too. */
function usesName(pid: number, database: string): boolean {
  const shm = find(`${database}-shm`);
  if (shm !== undefined && lockHolders(shm).has(pid)) return true;
  // A process in a container has another path for the same name.
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
 * Other names where they are to be expected: in the same directory; in those that `restore` makes in it; and where a
 * directory that stands beside one of those above is a copy of it, as the rest of the path is then the same.
 */
function otherNames(database: string, found: BigIntStats): string[] {
  const [dir, file] = [dirname(database), basename(database)];
  const candidates = namesIn(dir).flatMap((name) => [join(dir, name), join(dir, name, file)]);
  for (let above = dir; above !== dirname(above); above = dirname(above)) {
    const rest = relative(above, database);
    const beside = dirname(above);
    candidates.push(...namesIn(beside).map((name) => join(beside, name, rest)));
  }
  // One directory may be reached by several paths.
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

function isInWalMode(database: string): boolean {
  const file = openSync(database, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    // https://www.sqlite.org/fileformat2.html: the versions that are needed to write and to read it.
    const versions = Buffer.alloc(2);
    readSync(file, versions, 0, 2, 18);
    return versions.includes(2);
  } finally {
    closeSync(file);
  }
}
