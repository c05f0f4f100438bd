/** Free space, checked before the first byte is written. */
import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { StorageError } from '../../errors.ts';

/** Bytes that this user may still write below `dir`, or below its nearest existing parent. */
export function freeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(nearestExisting(dir));
  return bavail * bsize;
}

/** `path` if it exists, else its nearest existing parent. */
export function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

/**
 * @param what purpose of the bytes, for the message
 * @param flag the flag that selects another place, for the hint
 * @throws {StorageError} `NO_SPACE`
 */
export function refuseNoSpace(dir: string, bytes: number, what: string, flag: string): void {
  const free = freeBytes(dir);
  if (free >= bytes) return;
  throw new StorageError('NO_SPACE', `not enough free space for ${what}`, {
    path: dir,
    expected: `${bytes} bytes`,
    found: `${free} bytes free`,
    hint: `free some, or name another place with ${flag}`,
  });
}
