import { statSync, type Stats } from 'node:fs';

/**
 * Stats `path`; undefined if it does not exist. Node's `throwIfNoEntry` covers only ENOENT, but a parent of `path`
 * may be a file (ENOTDIR).
 */
export function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** What it is, for messages: `a pipe`. */
export function kindOf(found: Stats): string {
  if (found.isFile()) return 'a regular file';
  if (found.isDirectory()) return 'a directory';
  if (found.isFIFO()) return 'a pipe';
  return found.isSocket() ? 'a socket' : 'a device';
}
