import { statSync, type Stats } from 'node:fs';

/**
 * What is at `path`; undefined if nothing is. Node's own `throwIfNoEntry` is about ENOENT only, while a file may stand
 * where a directory above `path` was meant (ENOTDIR).
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
