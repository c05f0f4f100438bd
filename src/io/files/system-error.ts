/** System errors about disks and permissions. */
import { realpathSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { EXIT_CODES, type ExitCode } from '../../errors.ts';
import { namedByKernel, withShownPaths } from './descriptor-names.ts';

/** A known error of the system or of SQLite, for people and programs. */
export interface SystemTrouble {
  /** The system's name for it: `ENOSPC`, `SQLITE_FULL`. */
  readonly code: string;
  readonly exitCode: ExitCode;
  readonly path: string | undefined;
  readonly hint: string;
}

const NO_SPACE = /^(ENOSPC|EDQUOT|SQLITE_FULL)$/;

/** By error code. SQLite's extended codes begin with the primary code (`SQLITE_IOERR_WRITE`). */
const SYSTEM_CODES: readonly (readonly [pattern: RegExp, exitCode: ExitCode, hint: string])[] = [
  [NO_SPACE, EXIT_CODES.storage, 'free some space, and run the command again'],
  [/^(EACCES|EPERM)$/, EXIT_CODES.storage, 'run as a user that has access to this path'],
  [/^(EROFS|SQLITE_READONLY.*)$/, EXIT_CODES.storage, 'choose a place that can be written to'],
  [/^(EIO|SQLITE_IOERR.*)$/, EXIT_CODES.storage, 'check the disk'],
  [
    /^SQLITE_(CORRUPT.*|NOTADB)$/,
    EXIT_CODES.verification,
    'the database is damaged: use another copy',
  ],
  [/^SQLITE_(BUSY.*|LOCKED.*)$/, EXIT_CODES.busy, 'another process has the database locked'],
];

/** @returns undefined if it is not a known system error */
export function systemTrouble(error: unknown): SystemTrouble | undefined {
  const code = systemCode(error);
  if (code === undefined) return undefined;
  const known = SYSTEM_CODES.find(([pattern]) => pattern.test(code));
  const path = systemPath(error);
  if (known !== undefined) {
    const [, exitCode, hint] = known;
    return { code, exitCode, path, hint: NO_SPACE.test(code) ? hintForSpace(path) : hint };
  }
  // A directory that exists takes no entry: it was removed, or belongs to the kernel or an automounter.
  if (!isMissing(error) || !isOfMaking(error)) return undefined;
  const hint = 'check that its disk is mounted, or name another place';
  return { code, exitCode: EXIT_CODES.storage, path, hint };
}

/** Names the file system that is full, if the path tells it. */
function hintForSpace(path: string | undefined): string {
  const unnamed = 'free some space, and run the command again';
  if (path === undefined) return unnamed;
  try {
    const dir = realpathSync(dirname(path));
    const { bavail, bsize } = statfsSync(dir);
    return `free some space on the file system at ${mountPointOf(dir)} (${bavail * bsize} bytes are free), and run the command again`;
  } catch {
    return unnamed;
  }
}

/** The highest directory above `dir` on the same device. */
function mountPointOf(dir: string): string {
  let at = dir;
  const { dev } = statSync(at);
  while (dirname(at) !== at && statSync(dirname(at)).dev === dev) at = dirname(at);
  return at;
}

/**
 * Runs `work`, which writes to a file. The system does not say which file is meant if a write fails.
 * @param file its path, or its descriptor
 * @throws what `work` throws, with the path of the file
 */
export async function naming<Result>(
  file: string | number,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const path = typeof file === 'string' ? file : namedByKernel(file);
    if (systemCode(error) !== undefined && systemPath(error) === undefined && path !== undefined) {
      Object.assign(error as Error, { path });
    }
    throw error;
  }
}

/** Whether the system reports that a path does not exist, or that a parent of it is a file. */
export function isMissing(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Whether this user lacks the permission for a path, or the disk cannot give its content. */
export function isNotPermitted(error: unknown): boolean {
  return /^(EACCES|EPERM|EIO)$/u.test(systemCode(error) ?? '');
}

function isOfMaking(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'mkdir';
}

/** The `code` that Node and better-sqlite3 give their errors. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function systemPath(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('path' in error)) return undefined;
  return typeof error.path === 'string' ? withShownPaths(error.path) : undefined;
}
