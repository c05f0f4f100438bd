/** Free space, checked before the first byte is written. */
import { statfsSync } from 'node:fs';
import { StorageError } from '../../errors.ts';
import { nearestExisting } from '../files/stat-if-there.ts';

/** Bytes that this user may still write below `dir`, or below its nearest existing parent. */
export function freeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(nearestExisting(dir));
  return bavail * bsize;
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
