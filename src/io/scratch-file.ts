/** Scratch files: files without a name, of which nothing outlives the process. */
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { unlinkedIn } from './scratch.ts';

/**
 * Opens an empty one in `dir`, for reading and writing.
 * @returns its descriptor, which the caller closes
 * @throws {StorageError} `SCRATCH` if it cannot be made there
 */
export function openScratchFile(dir: string): number {
  return unlinkedIn(dir, (path) => openSync(join(path, 'file'), 'wx+'));
}
