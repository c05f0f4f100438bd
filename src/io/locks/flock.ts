/**
 * flock(2), which Node does not offer. A helper program takes the lock on an inherited descriptor. The lock belongs
 * to the open file description, which both processes share, so it outlives the helper. It ends when the last
 * descriptor of that description is closed, at the latest with our process.
 */
import { spawnSync } from 'node:child_process';
import { StorageError } from '../../errors.ts';

/** An exclusive lock excludes all others. A shared lock allows other shared ones. */
export type LockKind = 'exclusive' | 'shared';

/** Programs that take a lock: of util-linux, and of busybox, which may be installed without a link named `flock`. */
const HELPERS = [['flock'], ['busybox', 'flock']] as const;
const DESCRIPTOR_OF_HELPER = 3;
/** Exit status of both, without output, if the lock is held. */
const HELD = 1;
/** Milliseconds. The helper does not wait for a lock, but it may hang on a dead file server. */
const PATIENCE_MS = 10_000;

/**
 * Takes the lock on the open file of `fd`, or changes its kind.
 * @param path path of the file, for messages
 * @returns false if another open file holds a conflicting lock
 * @throws {StorageError} `LOCK_UNAVAILABLE` if no helper is installed, or the file system refuses
 */
export function tryFlock(fd: number, kind: LockKind, path: string): boolean {
  for (const helper of HELPERS) {
    const taken = runHelper(helper, fd, kind, path);
    if (taken !== undefined) return taken;
  }
  throw new StorageError(
    'LOCK_UNAVAILABLE',
    'flock, the program that takes locks, is not installed',
    {
      path,
      expected: 'flock, of util-linux or of busybox',
      hint: 'install it and run this again: apt-get install util-linux, apk add util-linux, or brew install flock',
    },
  );
}

/** @returns undefined if the helper is not installed */
function runHelper(
  [program, ...words]: readonly [string, ...string[]],
  fd: number,
  kind: LockKind,
  path: string,
): boolean | undefined {
  const option = kind === 'exclusive' ? '-x' : '-s';
  const { status, signal, stderr, error } = spawnSync(
    program,
    [...words, '-n', option, String(DESCRIPTOR_OF_HELPER)],
    {
      stdio: ['ignore', 'ignore', 'pipe', fd],
      // A relative entry of PATH must not resolve to a directory that another user controls.
      cwd: '/',
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      encoding: 'utf8',
      timeout: PATIENCE_MS,
    },
  );
  if (status === 0) return true;
  if (status === HELD && stderr === '') return false;
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
  throw new StorageError('LOCK_UNAVAILABLE', 'cannot take a lock', {
    path,
    found: error?.message ?? (stderr.trim() || `${program}: ${signal ?? String(status)}`),
    hint: 'use a file system with flock(2), such as any local one; see docs/operations.md, "One at a time"',
  });
}
