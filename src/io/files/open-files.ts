/** Open files of processes, from /proc: only processes that this user may inspect, in this PID namespace. */
import { readdirSync, readFileSync, statSync, type Stats } from 'node:fs';
import { isSame } from './held-directory.ts';

type Identity = Pick<Stats, 'dev' | 'ino'>;

/** A process that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  /** Real user id. */
  readonly uid: number;
  /** Its pid in its own PID namespace, if that is another one; else the same as {@link pid}. */
  readonly innerPid: number;
}

/** Whether another process has the file open; undefined if that cannot be known. */
export function isOpenElsewhere(file: Identity): boolean | undefined {
  const pids = processes()?.filter((pid) => pid !== process.pid);
  return pids?.some((pid) => descriptorsOf(pid).some((fd) => isOn(pid, fd, file)));
}

/**
 * The processes that hold flock(2) locks on the file, among those that this user may inspect.
 * @param among pids to inspect; by default all
 * @returns undefined if that cannot be known
 */
export function flockHolders(
  file: Identity,
  among?: readonly number[],
): readonly LockHolder[] | undefined {
  const all = processes();
  return all === undefined
    ? undefined
    : (among ?? all)
        .filter((pid) => descriptorsOf(pid).some((fd) => isFlocked(pid, fd) && isOn(pid, fd, file)))
        .flatMap((pid) => holderOf(pid) ?? []);
}

/** Linux. Node has no constant for it. */
const O_CLOEXEC = 0o2_000_000;

/**
 * The descriptors above stderr that a program that this process starts would inherit. Node and SQLite close theirs, and
 * Node also those that it was started with, but only up to 15. Empty if that cannot be known.
 */
export function inheritedDescriptors(): number[] {
  return descriptorsOf('self')
    .map(Number)
    .filter((fd) => fd > 2 && !isClosedInPrograms(fd));
}

function isClosedInPrograms(fd: number): boolean {
  const text = readOr(() => readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), '');
  const flags = /^flags:\t(\d+)$/mu.exec(text)?.[1];
  // The descriptor of this very look is gone by now.
  return flags === undefined || (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
}

function processes(): number[] | undefined {
  const names = readOr(() => readdirSync('/proc'), []);
  return names.includes('self')
    ? names.filter((name) => /^\d+$/u.test(name)).map(Number)
    : undefined;
}

function descriptorsOf(pid: number | 'self'): string[] {
  return readOr(() => readdirSync(`/proc/${pid}/fd`), []);
}

/** Checked first: a stat of a descriptor's file may hang if a file server is gone. */
function isFlocked(pid: number, fd: string): boolean {
  const text = readOr(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'), '');
  return text.includes(' FLOCK ');
}

function isOn(pid: number, fd: string, file: Identity): boolean {
  const found = readOr(() => statSync(`/proc/${pid}/fd/${fd}`), undefined);
  return found !== undefined && isSame(found, file);
}

function holderOf(pid: number): LockHolder | undefined {
  const text = readOr(() => readFileSync(`/proc/${pid}/status`, 'utf8'), '');
  const uid = /^Uid:\t(\d+)/mu.exec(text)?.[1];
  const innerPid = /^NSpid:.*\t(\d+)$/mu.exec(text)?.[1] ?? pid;
  return uid === undefined ? undefined : { pid, uid: Number(uid), innerPid: Number(innerPid) };
}

/** A process may end at any moment, and this user may not inspect most of them. */
function readOr<Result>(read: () => Result, otherwise: Result): Result {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
