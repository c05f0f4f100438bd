/** Free space, asked for before the first byte is written. */
import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { StorageError } from '../../errors.ts';

/** Bytes that this user may still write under `dir`, or under its nearest parent that exists. */
export function freeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(nearestExisting(dir));
  return bavail * bsize;
}

/** `path` itself if it exists, else the nearest directory above it that does. */
export function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

/**
 * @param what what the bytes are for, for the message
 * @param flag the flag that names another place, for the hint
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
