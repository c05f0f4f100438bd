import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes `dir` and those above it that are missing. Node's recursive `mkdir` never returns where a directory is there
 * and nothing can be made in it for `ENOENT`: in one that was removed and is held, or below an automounter's.
 * @param mode of each that is made, less the umask
 */
export function makeWithParents(dir: string, mode = 0o777): void {
  if (lstatSync(dir, { throwIfNoEntry: false }) !== undefined) return;
  makeWithParents(dirname(dir), mode);
  try {
    mkdirSync(dir, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
