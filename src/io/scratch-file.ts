/** Scratch files: files without a name, of which nothing outlives the process. */
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../errors.ts';
import { TEMPORARY_PREFIX } from './scratch.ts';
import { WorkDirectory } from './work-directory.ts';

/**
 * Opens an empty one in `dir`, for reading and writing.
 * @returns its descriptor, which the caller closes
 * @throws {StorageError} `SCRATCH` if it cannot be made there
 */
export function openScratchFile(dir: string): number {
  let work: WorkDirectory | undefined;
  try {
    work = WorkDirectory.make(dir, `${TEMPORARY_PREFIX}scratch-`);
    return openSync(join(work.path, 'file'), 'wx+');
  } catch (cause) {
    throw new StorageError('SCRATCH', 'cannot make a scratch file', {
      path: dir,
      found: cause instanceof Error ? cause.message : String(cause),
      hint: 'name a writable directory on a disk with --scratch-dir',
      cause,
    });
  } finally {
    work?.remove();
  }
}
