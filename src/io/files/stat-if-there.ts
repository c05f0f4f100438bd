/** What is at a path: something, nothing, or a link to nothing. */
import { lstatSync, readlinkSync, statSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { StorageError } from '../../errors.ts';
import { withShownPaths } from './descriptor-names.ts';
import { isMissing, systemCode } from './system-error.ts';

/**
 * Stats `path`; undefined if it does not exist. Node's `throwIfNoEntry` covers only ENOENT, but a parent of `path`
 * may be a file (ENOTDIR).
 * @throws {StorageError} `LINK_TO_NOTHING` if `path`, or a directory on the way, is a link to nothing
 */
export function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (!isMissing(error) && systemCode(error) !== 'ELOOP') throw error;
    refuseLinkToNothing(path);
    return undefined;
  }
}

/**
 * `path` if it exists, else its nearest existing parent.
 * @throws as {@link statIfThere}
 */
export function nearestExisting(path: string): string {
  return statIfThere(path) !== undefined || dirname(path) === path
    ? path
    : nearestExisting(dirname(path));
}

/** Whether `path` itself is a link to nothing. */
export function isLinkToNothing(path: string): boolean {
  if (lstatIfThere(path)?.isSymbolicLink() !== true) return false;
  try {
    statSync(path);
    return false;
  } catch (error) {
    return isMissing(error) || systemCode(error) === 'ELOOP';
  }
}

/** A link to a disk that is not mounted is not the same as nothing: what is made in its place goes to another disk. */
function refuseLinkToNothing(path: string): void {
  let at = resolve(path);
  while (lstatIfThere(at) === undefined && dirname(at) !== at) at = dirname(at);
  if (!isLinkToNothing(at)) return;
  throw new StorageError('LINK_TO_NOTHING', 'the path is a link to nothing', {
    path: withShownPaths(at),
    found: `a link to ${readlinkSync(at)}`,
    hint: 'mount the disk that it leads to, or mend the link',
  });
}

function lstatIfThere(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** What it is, for messages: `a pipe`. */
export function kindOf(
  found: Pick<Stats, 'isFile' | 'isDirectory' | 'isFIFO' | 'isSocket'>,
): string {
  if (found.isFile()) return 'a regular file';
  if (found.isDirectory()) return 'a directory';
  if (found.isFIFO()) return 'a pipe';
  return found.isSocket() ? 'a socket' : 'a device';
}
