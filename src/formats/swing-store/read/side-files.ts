/**
 * Checks the side files of a database before SQLite opens them: a journal may name a file for SQLite to remove, and a
 * pipe in place of a side file would block SQLite forever.
 */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  type Stats,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { VerificationError } from '../../../errors.ts';
import { isHeld } from '../../../io/files/held-files.ts';
import { DATABASE_FILE, SIDE_FILES } from '../layout.ts';

/** The last bytes of a journal that names a super-journal. */
const JOURNAL_MAGIC = Buffer.from('d9d505f920a163d7', 'hex');

/**
 * @param database a path without links: SQLite looks next to the target of a link
 * @throws {VerificationError} `SIDE_FILE` if a side file is not a regular file of the store, or if the database
 *   belongs to another user and has a name that this user chose
 */
export function refuseOddSideFiles(database: string): void {
  const owner = lstatSync(database).uid;
  if (owner !== process.geteuid?.()) refuseChosenName(database);
  for (const suffix of SIDE_FILES) {
    const path = database + suffix;
    const found = lstatIfThere(path);
    if (found === undefined) continue;
    if (!found.isFile()) throw odd(path, 'not a regular file');
    // SQLite writes into the -shm. A hard link in its place may be any file of another user.
    if (suffix === '-shm' && found.nlink > 1 && found.uid !== owner) {
      throw odd(path, "a hard link to another user's file");
    }
  }
}

/**
 * SQLite makes a missing `-wal` and `-shm` with the database's owner, under names that begin with the database's
 * name. The owner may swap the directory between two of SQLite's calls: when root reads the store, the name must not
 * have a meaning in a system directory.
 */
function refuseChosenName(database: string): void {
  if (basename(database) === DATABASE_FILE) return;
  throw new VerificationError(
    'SIDE_FILE',
    'the SwingStore is a link to a database that has a different owner and a different name',
    {
      path: database,
      expected: DATABASE_FILE,
      found: basename(database),
      hint: 'run it as the user that owns the store',
    },
  );
}

/**
 * Whether SQLite would make a missing `-wal` or `-shm` beside the database of another user, which would belong to this
 * user. They have the database's mode and stay after a read, so the owner's node could no longer write to its store.
 * @param database a path without links, of an existing file that can be read
 */
export function wouldLeaveSideFiles(database: string): boolean {
  const found = lstatSync(database, { bigint: true });
  if (found.uid === BigInt(process.geteuid?.() ?? 0) || givesSideFilesAway()) return false;
  if (!mayMakeFilesIn(dirname(database))) return false;
  // A file that we already hold must not be opened here. It was checked when it was first opened.
  if (isHeld(found) || !isInWalMode(database)) return false;
  return ['-wal', '-shm'].some((suffix) => lstatIfThere(database + suffix) === undefined);
}

/** Whether SQLite gives new side files to the database's owner: it does so as root, if root may change owners. */
function givesSideFilesAway(): boolean {
  if (process.geteuid?.() !== 0) return false;
  try {
    const capabilities = /^CapEff:\s*([0-9a-f]+)$/mu.exec(
      readFileSync('/proc/self/status', 'utf8'),
    );
    // Bit 0 is CAP_CHOWN, which containers often lack.
    return capabilities?.[1] === undefined || (BigInt(`0x${capabilities[1]}`) & 1n) === 1n;
  } catch {
    return true;
  }
}

function mayMakeFilesIn(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param database a path without links, of a file that no connection of this process has open */
export function isInWalMode(database: string): boolean {
  const file = openSync(database, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    // Write and read version, see https://www.sqlite.org/fileformat2.html
    const versions = Buffer.alloc(2);
    readSync(file, versions, 0, 2, 18);
    return versions.includes(2);
  } finally {
    closeSync(file);
  }
}

/**
 * A transaction over several databases has a super-journal, and each of their journals names it. When SQLite rolls
 * back the last of these journals, it removes the file of that name, even if it is some other file. A SwingStore is
 * one database: no node writes such a journal.
 * @param journal a copy that no other user can write to
 * @param reportedAs the path of the original, for errors
 * @throws {VerificationError} `SUPER_JOURNAL`
 */
export function refuseSuperJournal(journal: string, reportedAs: string): void {
  const file = openSync(journal, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const end = Buffer.alloc(JOURNAL_MAGIC.length);
    const { size } = fstatSync(file);
    if (size < end.length) return;
    readSync(file, end, 0, end.length, size - end.length);
    if (!end.equals(JOURNAL_MAGIC)) return;
  } finally {
    closeSync(file);
  }
  throw new VerificationError(
    'SUPER_JOURNAL',
    'the journal beside the SwingStore names a file that SQLite would remove',
    {
      path: reportedAs,
      expected: 'a journal of a single database',
      found: 'a journal that names a super-journal',
      hint: 'no node writes such a journal: check who can write to this directory, and name another store with --state-dir',
    },
  );
}

function lstatIfThere(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function odd(path: string, found: string): VerificationError {
  return new VerificationError('SIDE_FILE', 'a file beside the SwingStore does not belong to it', {
    path,
    expected: "a file that SQLite made for the store's owner",
    found,
    hint: 'no node makes such a file: check who can write to this directory, and name another store with --state-dir',
  });
}
