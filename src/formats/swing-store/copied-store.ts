/** A SwingStore that cannot be opened where it is (a read-only file system, read rights only), as a scratch copy. */
import { constants, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageError } from '../../errors.ts';
import { refuseNoSpace } from '../../io/free-space.ts';
import { TEMPORARY_PREFIX } from '../../io/scratch.ts';
import { DATABASE_FILE, databasePath, SIDE_FILES } from './layout.ts';

export interface CopiedStore {
  readonly databasePath: string;
  remove(): void;
}

// The -shm is an index of the -wal that SQLite makes anew.
const COPIED = ['', '-wal', '-journal'] as const;

/**
 * Copies the database of `stateDir`, with its `-wal` or `-journal`, into a new directory under `scratchDir`.
 * @throws {StorageError} `NO_SPACE`; `STORE_CHANGED` if somebody wrote to the store meanwhile
 */
export async function copyStore(
  stateDir: string,
  scratchDir: string,
  note: (message: string) => void,
): Promise<CopiedStore> {
  const before = fingerprint(stateDir);
  const bytes = before.files.reduce((sum, { size }) => sum + size, 0);
  refuseNoSpace(scratchDir, bytes, 'a scratch copy of the SwingStore', '--scratch-dir');
  note(
    `swingstore.sqlite cannot be opened where it is (SQLite must make a -shm file beside it): ` +
      `${String(bytes)} bytes are copied to ${scratchDir} and read there; ` +
      `with write rights on its directory, or while its node runs, it would be read in place`,
  );
  const dir = mkdtempSync(join(scratchDir, `${TEMPORARY_PREFIX}store-`));
  const remove = (): void => {
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    for (const suffix of COPIED) {
      const from = databasePath(stateDir) + suffix;
      if (existsSync(from)) {
        await copyFile(from, join(dir, DATABASE_FILE + suffix), constants.COPYFILE_FICLONE);
      }
    }
    if (fingerprint(stateDir).text !== before.text) {
      throw new StorageError('STORE_CHANGED', 'the SwingStore changed while it was copied', {
        path: databasePath(stateDir),
        hint: 'run it again: while the node runs the store is read in place',
      });
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { databasePath: join(dir, DATABASE_FILE), remove };
}

function fingerprint(stateDir: string): { files: { size: number }[]; text: string } {
  const files = ['', ...SIDE_FILES]
    .map((suffix) => statSync(databasePath(stateDir) + suffix, { throwIfNoEntry: false }))
    .filter((stat) => stat !== undefined);
  const text = files.map(({ ino, size, mtimeMs }) => [ino, size, mtimeMs].join(' ')).join('\n');
  return { files, text };
}
