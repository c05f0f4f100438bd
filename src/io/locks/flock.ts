/**
 * flock(2), for which Node has no call. A helper program takes it on a descriptor that it inherits: the lock belongs to
 * the open file description, which both share, so it stays when the helper has ended. It ends when the last descriptor
 * of that description is closed, at the latest with our process.
 */
import { spawnSync } from 'node:child_process';
import { StorageError } from '../../errors.ts';

/** An exclusive lock admits no other, a shared one admits shared ones. */
export type LockKind = 'exclusive' | 'shared';

/** Programs that take a lock, of util-linux and of busybox, which may come without a link for each of its names. */
const HELPERS = [['flock'], ['busybox', 'flock']] as const;
const DESCRIPTOR_OF_HELPER = 3;
/** What both say, without a word, where another holds the lock. */
const HELD = 1;
/** Milliseconds. It never waits for a lock; a file server may be gone. */
const PATIENCE_MS = 10_000;

/**
 * Takes the lock on the open file of `fd`, or changes its kind.
 * @param path what it is, for messages
 * @returns false if another open file holds one that does not admit it
 * @throws {StorageError} `LOCK_UNAVAILABLE` where no helper is installed, or the file system refuses
 */
export function tryFlock(fd: number, kind: LockKind, path: string): boolean {
  for (const helper of HELPERS) {
    const taken = runHelper(helper, fd, kind, path);
    if (taken !== undefined) return taken;
  }
  throw new StorageError('LOCK_UNAVAILABLE', 'no program that takes locks is installed', {
    path,
    expected: 'flock, of util-linux or of busybox',
    hint: 'install it and run this again: apt-get install util-linux, apk add util-linux, or brew install flock',
  });
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
      // A relative entry of PATH must not lead into a directory that another user fills.
      cwd: '/',
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      encoding: 'utf8',
      timeout: PATIENCE_MS,
    },
  );
  if (status === 0) return true;
  if (status === HELD && stderr === '') return false;
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
  throw new StorageError('LOCK_UNAVAILABLE', 'no lock can be taken', {
    path,
    found: error?.message ?? (stderr.trim() || `${program}: ${signal ?? String(status)}`),
    hint: 'use a file system that has flock(2), as all local ones do; see docs/operations.md, "One at a time"',
  });
}
