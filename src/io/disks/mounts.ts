/** Disks that should be mounted: what is written below the mount point of one that is not goes to another disk. */
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { nearestExisting } from '../files/stat-if-there.ts';

/** The files that say what should be mounted, and what is. */
export interface MountFiles {
  readonly fstab: string;
  readonly mountinfo: string;
}

const SYSTEM: MountFiles = { fstab: '/etc/fstab', mountinfo: '/proc/self/mountinfo' };

/**
 * The mount point above `path` that `/etc/fstab` names, but that has nothing mounted on it. A point above it does not
 * matter if something is mounted between the two.
 * @returns undefined if there is none, or if this system has no such files
 * @throws {StorageError} `LINK_TO_NOTHING`
 */
export function unmountedPointAbove(path: string, files: MountFiles = SYSTEM): string | undefined {
  const wanted = new Set(pointsIn(files.fstab, 1).map(realIfThere));
  if (wanted.size === 0) return undefined;
  const mounted = new Set(pointsIn(files.mountinfo, 4));
  if (mounted.size === 0) return undefined;
  const existing = nearestExisting(resolve(path));
  let at = resolve(realpathSync(existing), relative(existing, resolve(path)));
  for (; !mounted.has(at) && dirname(at) !== at; at = dirname(at)) if (wanted.has(at)) return at;
  return undefined;
}

/** The absolute paths in a column of a table whose fields are separated by blanks; none if it cannot be read. */
function pointsIn(file: string, column: number): string[] {
  return linesOf(file)
    .map((line) => line.trim())
    .filter((line) => !line.startsWith('#'))
    .map((line) => unescaped(line.split(/[ \t]+/u)[column] ?? ''))
    .filter((point) => point.startsWith('/'))
    .map((point) => resolve(point));
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Both tables write blanks and backslashes as `\040`. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/gu, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** A mount point may be named through a link. */
function realIfThere(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
