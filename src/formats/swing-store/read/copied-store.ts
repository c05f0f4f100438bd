/** Scratch copy of a SwingStore that cannot be opened in place (read-only file system, another user's at rest). */
import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import { chmod, copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StorageError } from '../../../errors.ts';
import { refuseNoSpace } from '../../../io/disks/free-space.ts';
import { TEMPORARY_PREFIX } from '../../../io/files/scratch.ts';
import { statIfThere } from '../../../io/files/stat-if-there.ts';
import { WorkDirectory } from '../../../io/files/work-directory.ts';
import { secretDatabaseName } from '../../../io/sqlite.ts';
import { databasePath, SIDE_FILES } from '../layout.ts';
import type { Obstacle } from './pin.ts';
import { refuseSuperJournal } from './side-files.ts';

export interface CopiedStore {
  readonly databasePath: string;
  /** Whether it has a journal, which may need to be rolled back. */
  readonly hasJournal: boolean;
  remove(): void;
}

// The journal comes first, because a bad one ends the copy. SQLite rebuilds the -shm, an index of the -wal.
const COPIED = ['-journal', '-wal', ''] as const;

/**
 * Copies the database of `stateDir`, with its `-wal` or `-journal`, into a new directory under `scratchDir`.
 * @param note receives one line: the reason, the size and the destination
 * @param why what keeps the store from being opened in place
 * @throws {StorageError} `NO_SPACE`; `STORE_CHANGED` if the store was written to during the copy
 * @throws {VerificationError} `SUPER_JOURNAL`
 */
export async function copyStore(
  stateDir: string,
  scratchDir: string,
  note: (message: string) => void,
  why: Obstacle['why'],
): Promise<CopiedStore> {
  // SQLite looks for the side files next to the target of a link.
  const database = realpathSync(databasePath(stateDir));
  const before = fingerprint(database);
  refuseNoSpace(scratchDir, before.bytes, 'a scratch copy of the SwingStore', '--scratch-dir');
  const { reason, advice } = REASONS[why] ?? whyNotInPlace(dirname(database));
  const what = `copying ${before.bytes} bytes to ${scratchDir} to read them there`;
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
      // copyFile copies the mode, and SQLite cannot recover a file that its owner may not write.
      await chmod(copy, 0o600);
      if (suffix === '-journal') refuseSuperJournal(copy, database + suffix);
    }
    if (fingerprint(database).text !== before.text) {
      throw new StorageError('STORE_CHANGED', 'the SwingStore changed while it was copied', {
        path: databasePath(stateDir),
        hint: 'run it again; if the node runs by then, the store is not copied but read in place',
      });
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { databasePath: copied, hasJournal: existsSync(`${copied}-journal`), remove };
}

interface Reason {
  /** Follows the name of the database. */
  readonly reason: string;
  /** Further clauses: how to get the store read in place. */
  readonly advice: readonly string[];
}

const TO_READ_IN_PLACE = 'to have it read in place, run this as its owner, or while the node runs';

const REASONS: Readonly<Record<Obstacle['why'], Reason | undefined>> = {
  'cannot open': undefined,
  journal: {
    reason: 'has a journal of an unfinished transaction that a reader must not roll back',
    advice: [],
  },
  'side files': {
    reason:
      'belongs to another user, and a reader would leave a -wal or -shm that its owner cannot write',
    advice: [TO_READ_IN_PLACE],
  },
};

/** Why SQLite cannot make the `-shm` that a WAL database needs. */
function whyNotInPlace(dir: string): Reason {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return { reason: 'cannot be opened in place', advice: [] };
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
      ? { reason: 'is on a read-only file system, where SQLite cannot open it', advice: [] }
      : {
          reason: 'cannot be opened with only read rights while no node has it open',
          advice: [TO_READ_IN_PLACE],
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
