/** A SwingStore that cannot be opened where it is (a read-only file system, read rights only), as a scratch copy. */
import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import { chmod, copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StorageError } from '../../../errors.ts';
import { refuseNoSpace } from '../../../io/files/free-space.ts';
import { TEMPORARY_PREFIX } from '../../../io/files/scratch.ts';
import { statIfThere } from '../../../io/files/stat-if-there.ts';
import { WorkDirectory } from '../../../io/files/work-directory.ts';
import { secretDatabaseName } from '../../../io/sqlite.ts';
import { databasePath, SIDE_FILES } from '../layout.ts';
import { refuseSuperJournal } from './side-files.ts';

export interface CopiedStore {
  readonly databasePath: string;
  /** Whether it has a journal, which may have to be rolled back. */
  readonly hasJournal: boolean;
  remove(): void;
}

// The journal first, which may be reason enough to read no more. The -shm is an index of the -wal that SQLite makes anew.
const COPIED = ['-journal', '-wal', ''] as const;

/**
 * Copies the database of `stateDir`, with its `-wal` or `-journal`, into a new directory under `scratchDir`.
 * @param note told why, how much and whereto, in one line
 * @param hasJournal whether a journal that must be rolled back is what keeps the store from being opened
 * @throws {StorageError} `NO_SPACE`; `STORE_CHANGED` if somebody wrote to the store meanwhile
 * @throws {VerificationError} `SUPER_JOURNAL`
 */
export async function copyStore(
  stateDir: string,
  scratchDir: string,
  note: (message: string) => void,
  hasJournal: boolean,
): Promise<CopiedStore> {
  // SQLite looks for the side files beside what a link leads to.
  const database = realpathSync(databasePath(stateDir));
  const before = fingerprint(database);
  refuseNoSpace(scratchDir, before.bytes, 'a scratch copy of the SwingStore', '--scratch-dir');
  const { reason, advice } = hasJournal ? UNFINISHED : obstacle(dirname(database));
  const what = `${before.bytes} bytes are copied to ${scratchDir} and read there`;
  note(`swingstore.sqlite ${[`${reason}: ${what}`, ...advice].join('; ')}`);
  const work = WorkDirectory.make(scratchDir, `${TEMPORARY_PREFIX}store-`);
  const remove = (): void => {
    work.remove();
  };
  const copied = join(work.path, secretDatabaseName());
  try {
    for (const suffix of COPIED) {
      if (statIfThere(database + suffix) === undefined) continue;
      const copy = copied + suffix;
      await copyFile(database + suffix, copy, constants.COPYFILE_FICLONE);
      // The rights come along, and a file that its owner may not write cannot be opened to be recovered.
      await chmod(copy, 0o600);
      if (suffix === '-journal') refuseSuperJournal(copy, database + suffix);
    }
    if (fingerprint(database).text !== before.text) {
      throw new StorageError('STORE_CHANGED', 'the SwingStore changed while it was copied', {
        path: databasePath(stateDir),
        hint: 'run it again: while the node runs the store is read in place',
      });
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { databasePath: copied, hasJournal: existsSync(`${copied}-journal`), remove };
}

interface Obstacle {
  /** What follows the name of the database. */
  readonly reason: string;
  /** More clauses: how it would be read in place. */
  readonly advice: readonly string[];
}

const UNFINISHED: Obstacle = {
  reason: 'has a journal of an unfinished transaction that a reader must not roll back',
  advice: [],
};

/** What keeps SQLite from making the `-shm` that it needs beside a WAL database. */
function obstacle(dir: string): Obstacle {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return { reason: 'cannot be opened where it is', advice: [] };
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
      ? { reason: 'is on a read-only file system, where SQLite cannot open it', advice: [] }
      : {
          reason: 'cannot be opened with read rights alone while no node has it open',
          advice: ['run it as its owner, or while the node runs, to have it read in place'],
        };
  }
}

function fingerprint(database: string): { bytes: number; text: string } {
  const files = ['', ...SIDE_FILES].map((suffix) => {
    const stat = statIfThere(database + suffix);
    return { suffix, stat };
  });
  const copied = files.filter(({ suffix }) => COPIED.some((other) => other === suffix));
  const bytes = copied.reduce((sum, { stat }) => sum + (stat?.size ?? 0), 0);
  const text = files
    .map(({ suffix, stat }) => [suffix, stat?.ino, stat?.size, stat?.mtimeMs].join(' '))
    .join('\n');
  return { bytes, text };
}
