/**
 * What SQLite takes for its own beside a database, looked at before SQLite does: a journal may name a file that is to be
 * removed, and a pipe in the place of one is waited for without end.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
} from 'node:fs';
import { basename } from 'node:path';
import { VerificationError } from '../../../errors.ts';
import { DATABASE_FILE, SIDE_FILES } from '../layout.ts';

/** Ends a journal whose last record is the name of a super-journal. */
const JOURNAL_MAGIC = Buffer.from('d9d505f920a163d7', 'hex');

/**
 * @param database a path without links: SQLite finds what is beside the file itself
 * @throws {VerificationError} `SIDE_FILE` if something else than a file of the store's own is in the place of one, or if
 *   the database is another user's and has a name of that user's choice
 */
export function refuseOddSideFiles(database: string): void {
  const owner = lstatSync(database).uid;
  if (owner !== process.geteuid?.()) refuseChosenName(database);
  for (const suffix of SIDE_FILES) {
    const path = database + suffix;
    const found = lstatIfThere(path);
    if (found === undefined) continue;
    if (!found.isFile()) throw odd(path, 'something else');
    // SQLite writes into a -shm. One that another has linked there may be any file of that user's.
    if (suffix === '-shm' && found.nlink > 1 && found.uid !== owner) {
      throw odd(path, 'another name for a file of another user');
    }
  }
}

/**
 * SQLite makes a `-wal` and a `-shm` where there are none, as files of the database's owner, by names that begin with that of
 * the database. That owner may exchange the directory for another one in the moment between two of SQLite's calls: where
 * root reads the store, the name must not be one that means something to a directory of the system.
 */
function refuseChosenName(database: string): void {
  if (basename(database) === DATABASE_FILE) return;
  throw new VerificationError('SIDE_FILE', 'a link leads to a database of another user and name', {
    path: database,
    expected: DATABASE_FILE,
    found: basename(database),
    hint: 'run it as the user that owns the store',
  });
}

/**
 * A transaction over several databases has a super-journal, which each of their journals names. Whoever rolls the last
 * of them back removes the file of that name, whatever it is. A SwingStore is one database: no node writes such a journal.
 * @param journal a copy that no other user can write to
 * @param reportedAs the path of the original
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
      expected: 'a journal of one database',
      found: 'a journal that names a super-journal',
      hint: 'no node writes one: look who can write to this directory, and name another store with --state-dir',
    },
  );
}

function lstatIfThere(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function odd(path: string, found: string): VerificationError {
  return new VerificationError('SIDE_FILE', 'what is beside the SwingStore is none of its files', {
    path,
    expected: "a file that SQLite made, of the store's owner",
    found,
    hint: 'no node makes one: look who can write to this directory, and name another store with --state-dir',
  });
}
