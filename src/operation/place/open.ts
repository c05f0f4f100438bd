/** Opens a snapshot dir that is named for what is in it already. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { NotFoundError, UsageError } from '../../errors.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { MANIFEST_FILE } from '../../snapshot/layout.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import { directoryStorage } from '../../storage/directory.ts';
import { checkWritable, refuseUnmounted } from '../preflight.ts';

/**
 * The place at `path`. It needs no mark, and may hold nothing of ours.
 * @param isWritten whether something will be removed
 * @throws {NotFoundError} `PLACE_MISSING`; {@link UsageError} `NOT_A_DIRECTORY`, `NOT_A_PLACE`
 * @throws {StorageError} `NOT_MOUNTED`, `LINK_TO_NOTHING`, `NOT_WRITABLE`
 */
export function existingPlace(path: string, isWritten: boolean): SnapshotPlace {
  const dir = resolve(path);
  refuseUnmounted(dir, 'snapshot dir');
  const found = statIfThere(dir);
  if (found === undefined) {
    throw new NotFoundError('PLACE_MISSING', 'there is no snapshot dir', {
      path: dir,
      hint: 'check the path, and that its disk is mounted',
    });
  }
  if (!found.isDirectory()) {
    throw new UsageError('NOT_A_DIRECTORY', 'the snapshot dir is not a directory', { path: dir });
  }
  if (existsSync(join(dir, MANIFEST_FILE))) {
    throw new UsageError('NOT_A_PLACE', 'this is one snapshot, not a directory of snapshots', {
      path: dir,
      hint: `name the directory above it, or look at this one: swingsnap show ${shellQuote(dir)}`,
    });
  }
  if (isWritten) checkWritable(dir, 'snapshot dir');
  return directoryStorage(dir);
}
