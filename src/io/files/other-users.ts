import type { Stats } from 'node:fs';

const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;

/**
 * Whether users other than the owner and root may write to a file or directory. The owner's private group, which has
 * the owner's id and no other member, does not count: many systems give every user one, with umask 002.
 */
export function othersMayWrite({ mode, uid, gid }: Pick<Stats, 'mode' | 'uid' | 'gid'>): boolean {
  return (mode & OTHERS_WRITE) !== 0 || ((mode & GROUP_WRITE) !== 0 && gid !== uid);
}
