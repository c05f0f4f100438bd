/**
 * Identifies the holder of the lock on a directory. The kernel names the process, if this user may inspect it. A notice
 * describes what the process does. It is believed only of that process, and only in the directory of its user.
 */
import { readFileSync, type Stats } from 'node:fs';
import { hostname } from 'node:os';
import { flockHolders, type LockHolder } from '../../io/files/open-files.ts';
import { stateDirInHome, userStateDir } from '../../io/files/user-state.ts';
import { readNotice, type Notice } from './notice.ts';

const ROOT = 0;

/** What is known of an operation that holds a lock. Empty if this user may not inspect its process. */
export interface Holder extends Partial<Notice> {
  /** User id of its process. Set only if the process has no notice, or belongs to another user. */
  readonly uid?: number;
}

type Identity = Pick<Stats, 'dev' | 'ino'>;

/** The holder of the lock on `locked`, which is held. */
export function holderOf(locked: Identity): Holder {
  const user = process.geteuid?.() ?? ROOT;
  const own = readNotice(userStateDir(), user, locked);
  const likely = own === undefined ? [] : flockHolders(locked, [own.pid]);
  // Only Linux can name the process.
  if (likely === undefined) return own !== undefined && isAlive(own) ? own : {};
  const believed = noticeOf(likely, user, own);
  if (believed !== undefined) return believed;
  const holders = flockHolders(locked) ?? [];
  return noticeOf(holders, user, own) ?? ofAnotherUser(holders, user, locked) ?? {};
}

/** The notice, if its process is among the holders, with the pid that the process has in this namespace. */
function noticeOf(
  holders: readonly LockHolder[],
  user: number,
  notice: Notice | undefined,
): Notice | undefined {
  const holder = holders.find(({ uid, innerPid }) => uid === user && innerPid === notice?.pid);
  return notice && holder && { ...notice, pid: holder.pid };
}

/** What is known without a notice of this user. Root may inspect every process, and may read the notices of others. */
function ofAnotherUser(
  holders: readonly LockHolder[],
  user: number,
  locked: Identity,
): Holder | undefined {
  const [holder] = holders;
  if (holder === undefined) return undefined;
  const { pid, uid } = holder;
  const process = { pid, uid, host: hostname() };
  if (user !== ROOT || uid === ROOT) return process;
  const home = homeOf(uid);
  const theirs = home && noticeOf([holder], uid, readNotice(stateDirInHome(home), uid, locked));
  if (!theirs) return process;
  // Omits paths: hints would name them, and root would then do there what another user likes.
  const { operation, since, height, awaitedHeight, progress } = theirs;
  return { ...process, operation, since, height, awaitedHeight, progress };
}

function isAlive({ pid, host }: Notice): boolean {
  if (host !== hostname() || pid <= 1) return false;
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** @returns undefined if the user has no entry in passwd, or there is no passwd, as in some containers */
function homeOf(uid: number): string | undefined {
  let passwd: string;
  try {
    passwd = readFileSync('/etc/passwd', 'utf8');
  } catch {
    return undefined;
  }
  const fields = passwd.split('\n').map((line) => line.split(':'));
  return fields.find((entry) => entry[2] === String(uid))?.[5];
}
