/**
 * The directory in which swingsnap keeps state for one user between runs. No other user except root can write to it,
 * forge its content, or put something else in its place.
 */
import { lstatSync, realpathSync, type Stats } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { makeWithParents } from './made-directory.ts';
import { othersMayWrite } from './other-users.ts';

const ROOT = 0;
const STICKY = 0o1000;
const BELOW_HOME = ['.local', 'state', 'swingsnap'];

/**
 * The directory of the effective user: `SWINGSNAP_STATE_DIR` if set, else `.local/state/swingsnap` in the home
 * directory from passwd. `HOME` may be another user's after `su` or `sudo`. A leading `~/` is that home. A missing
 * directory is made, with mode 0700.
 * @returns undefined if there is none, it cannot be made, or another user could write to it
 */
export function userStateDir(env: NodeJS.ProcessEnv = process.env): string | undefined {
  try {
    const dir = stateDirOf(env);
    if (dir === undefined) return undefined;
    makeWithParents(dir, 0o700);
    return isOwnAlone(dir) ? dir : undefined;
  } catch {
    return undefined;
  }
}

/** The default directory for a user with this home. */
export function stateDirInHome(home: string): string {
  return join(home, ...BELOW_HOME);
}

function stateDirOf(env: NodeJS.ProcessEnv): string | undefined {
  const named = env['SWINGSNAP_STATE_DIR'] ?? '';
  // Must be absolute: a worker's working directory differs from its command's.
  if (isAbsolute(named)) return named;
  if (named !== '' && !named.startsWith('~/')) return undefined;
  const { homedir } = userInfo();
  if (named !== '') return join(homedir, named.slice(2));
  return isAbsolute(homedir) && lstatSync(realpathSync(homedir)).isDirectory()
    ? stateDirInHome(homedir)
    : undefined;
}

function isOwnAlone(dir: string): boolean {
  const stat = lstatSync(dir);
  const isPrivate = stat.isDirectory() && stat.uid === process.geteuid?.() && !othersMayWrite(stat);
  return isPrivate && isBeyondOthers(dir) && isBeyondOthers(realpathSync(dir));
}

/** Whether no other user can replace `path` or a parent of it. */
function isBeyondOthers(path: string): boolean {
  for (let at = path; dirname(at) !== at; at = dirname(at)) {
    if (!isOursOrRoots(lstatSync(at))) return false;
    const above = lstatSync(dirname(at));
    // The mode of a symlink means nothing. Its target is checked by its real path.
    if (above.isDirectory() && othersMayWrite(above) && (above.mode & STICKY) === 0) return false;
  }
  return isOursOrRoots(lstatSync('/'));
}

function isOursOrRoots({ uid }: Stats): boolean {
  return uid === ROOT || uid === process.geteuid?.();
}
