/**
 * The directory in which swingsnap keeps what it knows for one user from run to run. No other user but root can write
 * to it, forge what is in it, or put something else in its place.
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
 * The directory of the effective user: the one that `SWINGSNAP_STATE_DIR` names, else `.local/state/swingsnap` in the home that
 * passwd has for that user; `HOME` may be another user's after `su` or `sudo`. It is made if it is missing, with mode 0700.
 * @returns undefined where there is none, it cannot be made, or another user could write to it
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

/** Where the user's directory is by default. */
export function stateDirInHome(home: string): string {
  return join(home, ...BELOW_HOME);
}

function stateDirOf(env: NodeJS.ProcessEnv): string | undefined {
  const named = env['SWINGSNAP_STATE_DIR'] ?? '';
  // A worker has another working directory than its command.
  if (named !== '') return isAbsolute(named) ? named : undefined;
  const { homedir } = userInfo();
  return isAbsolute(homedir) && lstatSync(realpathSync(homedir)).isDirectory()
    ? stateDirInHome(homedir)
    : undefined;
}

function isOwnAlone(dir: string): boolean {
  const stat = lstatSync(dir);
  const isPrivate = stat.isDirectory() && stat.uid === process.geteuid?.() && !othersMayWrite(stat);
  return isPrivate && isBeyondOthers(dir) && isBeyondOthers(realpathSync(dir));
}

/** Whether no other user can put something else in the place of `path`, or of a directory above it. */
function isBeyondOthers(path: string): boolean {
  for (let at = path; dirname(at) !== at; at = dirname(at)) {
    if (!isOursOrRoots(lstatSync(at))) return false;
    const above = lstatSync(dirname(at));
    // The mode of a link says nothing, and what it leads to is looked at by its real path.
    if (above.isDirectory() && othersMayWrite(above) && (above.mode & STICKY) === 0) return false;
  }
  return isOursOrRoots(lstatSync('/'));
}

function isOursOrRoots({ uid }: Stats): boolean {
  return uid === ROOT || uid === process.geteuid?.();
}
