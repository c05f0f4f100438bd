import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BusyError, StorageError } from '../../../src/errors.ts';
import { DirectoryLock } from '../../../src/io/locks/directory-lock.ts';
import {
  lockedPathsOf,
  lockOperation,
  operationOn,
  type NoticeFacts,
} from '../../../src/operation/lock/lock.ts';
import type { Notice } from '../../../src/operation/lock/notice.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();
const isLinux = process.platform === 'linux';
const isRoot = process.getuid?.() === 0;
const [ofRun, path] = [process.env['SWINGSNAP_STATE_DIR'], process.env['PATH']];
let dir: string;
let S: string;

beforeEach(async () => {
  dir = await tempDir();
  process.env['SWINGSNAP_STATE_DIR'] = join(dir, 'state');
  S = join(dir, 'S');
  await mkdir(S);
  await writeFile(join(S, 'swingstore.sqlite'), '');
});
afterEach(() => {
  process.env['SWINGSNAP_STATE_DIR'] = ofRun;
  process.env['PATH'] = path;
});

const facts: NoticeFacts = { operation: 'export', height: 7, exportDir: '/backup/E' };

function errorOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

/** Where the notice for a lock on `locked` is. */
function noticeFile(locked: string): string {
  const { dev, ino } = statSync(locked);
  return join(dir, 'state', 'operations', `${dev}-${ino}.json`);
}

function forge(locked: string, notice: Partial<Record<keyof Notice, unknown>>): string {
  const file = noticeFile(locked);
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  const since = '2026-01-01T00:00:00.000Z';
  writeFileSync(
    file,
    JSON.stringify({ operation: 'restore', pid: process.pid, host: 'h', since, ...notice }),
  );
  return file;
}

/** Another process that holds the lock as swingsnap does, until it is killed. */
async function holdElsewhere(locked: string): Promise<ChildProcess> {
  const script = 'exec 3<"$0"; flock -n -x 3; echo held; exec sleep 60';
  const child = spawn('sh', ['-ec', script, locked], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'close');
}

describe('a lock on a directory', () => {
  it('has one holder at a time, and is free again once released, even if released twice', () => {
    expect(DirectoryLock.isHeldAt(S)).toBe(false);
    const lock = DirectoryLock.tryTake(S);
    expect(lock).toBeDefined();
    expect(DirectoryLock.isHeldAt(S)).toBe(true);
    expect(DirectoryLock.tryTake(S)).toBeUndefined();
    lock?.release();
    lock?.release();
    expect(DirectoryLock.isHeldAt(S)).toBe(false);
    const next = DirectoryLock.tryTake(S);
    expect(next).toBeDefined();
    next?.release();
  });

  it('leaves no file behind, whether it is looked at or held', () => {
    const lock = DirectoryLock.tryTake(S);
    expect(DirectoryLock.isHeldAt(S)).toBe(true);
    expect(readdirSync(S)).toEqual(['swingstore.sqlite']);
    lock?.release();
  });

  it('ends with its holder, even if the holder is killed', async () => {
    const holder = await holdElsewhere(S);
    expect(DirectoryLock.isHeldAt(S)).toBe(true);
    expect(DirectoryLock.tryTake(S)).toBeUndefined();
    await end(holder);
    expect(DirectoryLock.isHeldAt(S)).toBe(false);
  });

  it('waits a moment for a process that only looks at it', async () => {
    const script = 'exec 3<"$0"; flock -s 3; echo looking; exec sleep 0.1';
    const child = spawn('sh', ['-ec', script, S], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const lock = DirectoryLock.tryTake(S);
    expect(lock).toBeDefined();
    lock?.release();
  });

  it('is not inherited by programs that its holder starts', async () => {
    const lock = DirectoryLock.tryTake(S);
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    await once(child, 'spawn');
    lock?.release();
    expect(DirectoryLock.isHeldAt(S)).toBe(false);
    await end(child);
  });

  it.runIf(isLinux)('can be taken on a directory that this user may only read', () => {
    const lock = DirectoryLock.tryTake('/proc/self');
    lock?.release();
    expect(lock).toBeDefined();
  });

  it('is refused with a hint what to install if no program can take it', () => {
    process.env['PATH'] = join(dir, 'empty');
    for (const act of [() => DirectoryLock.tryTake(S), () => operationOn(S)]) {
      const error = errorOf(act);
      expect(error).toBeInstanceOf(StorageError);
      expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', exitCode: 6, path: S });
      expect((error as StorageError).hint).toContain('util-linux');
    }
  });

  it('is refused with the reason if the program fails to take it', () => {
    mkdirSync(join(dir, 'bin'));
    const words = '#!/bin/sh\necho "flock: 3: Operation not supported" >&2\nexit 1\n';
    writeFileSync(join(dir, 'bin', 'flock'), words, { mode: 0o755 });
    process.env['PATH'] = `${join(dir, 'bin')}:${path ?? ''}`;
    expect(errorOf(() => DirectoryLock.tryTake(S))).toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      found: 'flock: 3: Operation not supported',
    });
  });

  it('is taken by busybox if there is no program flock', () => {
    mkdirSync(join(dir, 'bin'));
    const words = `#!/bin/sh\nshift\nexec ${
      path
        ?.split(':')
        .map((at) => join(at, 'flock'))
        .find((at) => existsSync(at)) ?? ''
    } "$@"\n`;
    writeFileSync(join(dir, 'bin', 'busybox'), words, { mode: 0o755 });
    process.env['PATH'] = join(dir, 'bin');
    const lock = DirectoryLock.tryTake(S);
    expect(lock).toBeDefined();
    expect(DirectoryLock.isHeldAt(S)).toBe(true);
    lock?.release();
  });
});

describe('a lock on an operation', () => {
  it('names the operation in progress to the callers that it keeps out', () => {
    const lock = lockOperation([S], facts);
    const error = errorOf(() => lockOperation([S], { operation: 'restore' }));
    expect(error).toBeInstanceOf(BusyError);
    expect(error).toMatchObject({ code: 'BUSY', exitCode: 4, path: '/backup/E' });
    expect(String(error)).toContain('export of height 7 is in progress');
    expect((error as BusyError).found).toContain(`process ${process.pid} on `);
    expect((error as BusyError).hint).toContain('swingsnap discard --export-dir /backup/E');
    lock.update({ height: 8 });
    expect(operationOn(S)).toMatchObject({ operation: 'export', height: 8, pid: process.pid });
    lock.release();
    lock.release();
    expect(operationOn(S)).toBeUndefined();
  });

  it('is the same for every path of a store', async () => {
    await symlink(S, join(dir, 'link'));
    await mkdir(join(dir, 'inner'));
    await symlink(join(S, 'swingstore.sqlite'), join(dir, 'inner', 'swingstore.sqlite'));
    const lock = lockOperation(lockedPathsOf(S), facts);
    for (const alias of [join(dir, 'link'), join(dir, 'inner'), `${S}/../S`]) {
      const error = errorOf(() => lockOperation(lockedPathsOf(alias), facts));
      expect(error, alias).toMatchObject({ code: 'BUSY' });
    }
    lock.release();
    // A refused operation leaves nothing locked: the other directory itself was free.
    expect(operationOn(join(dir, 'inner'))).toBeUndefined();
  });

  it('moves with its directory, and leaves a new directory in the old place free', async () => {
    const lock = lockOperation([S], facts);
    await rename(S, join(dir, 'moved'));
    await mkdir(S);
    expect(operationOn(S)).toBeUndefined();
    expect(operationOn(join(dir, 'moved'))).toMatchObject({ operation: 'export' });
    lock.release();
  });

  it('is empty if the directory does not exist', async () => {
    await rm(S, { recursive: true });
    const lock = lockOperation([S], facts);
    expect(lock.isEmpty).toBe(true);
    lock.release();
  });

  it('does not open the database, since closing it would drop the locks of this process', async () => {
    await rm(join(S, 'swingstore.sqlite'));
    await symlink('nowhere', join(S, 'swingstore.sqlite'));
    lockOperation(lockedPathsOf(S), facts).release();
    expect(readdirSync(S)).toEqual(['swingstore.sqlite']);
  });

  it.runIf(isLinux)('is described by its process if there is no notice', async () => {
    const holder = await holdElsewhere(S);
    const uid = process.getuid?.();
    expect(operationOn(S)).toEqual({ pid: holder.pid, uid, host: hostname() });
    const error = errorOf(() => lockOperation([S], facts)) as BusyError;
    expect(error).toMatchObject({ code: 'BUSY', message: 'another operation is in progress' });
    expect(error.found).toContain(`process ${holder.pid} of user ${uid}`);
    expect(error.hint).toContain(`kill ${holder.pid}`);
    await end(holder);
  });
});

describe('the notice of an operation', () => {
  it('is readable by its user alone, updated in place, and removed with the lock', () => {
    const lock = lockOperation(lockedPathsOf(S), facts);
    const file = noticeFile(S);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    lock.update({ exportDir: '/a/much/longer/path' });
    lock.update({ exportDir: '/short' });
    expect(operationOn(S)).toMatchObject({ exportDir: '/short' });
    expect(readdirSync(join(file, '..'))).toHaveLength(1);
    lock.release();
    expect(readdirSync(join(file, '..'))).toEqual([]);
  });

  it('only informs: the lock holds without one', () => {
    for (const state of ['/dev/null', join(dir, 'file'), 'relative']) {
      writeFileSync(join(dir, 'file'), '');
      process.env['SWINGSNAP_STATE_DIR'] = state;
      const lock = lockOperation([S], facts);
      lock.update({ height: 8 });
      expect(operationOn(S)).not.toHaveProperty('operation');
      expect(errorOf(() => lockOperation([S], facts))).toMatchObject({ code: 'BUSY' });
      lock.release();
      expect(operationOn(S)).toBeUndefined();
    }
  });

  it('of a dead process misleads no reader, and is overwritten', () => {
    forge(S, { operation: 'retrieve' });
    expect(operationOn(S)).toBeUndefined();
    const lock = lockOperation([S], { operation: 'restore' });
    expect(operationOn(S)).toMatchObject({ operation: 'restore' });
    lock.release();
  });

  it.runIf(isLinux)('is believed only of the process that holds the lock', async () => {
    const holder = await holdElsewhere(S);
    for (const pid of [process.pid, 1, 4_194_305]) {
      forge(S, { pid, exportDir: '/forged' });
      expect(operationOn(S)).not.toHaveProperty('exportDir');
    }
    forge(S, { pid: holder.pid, exportDir: '/told' });
    expect(operationOn(S)).toMatchObject({ exportDir: '/told', pid: holder.pid });
    await end(holder);
  });

  it.each<[string, Partial<Record<keyof Notice, unknown>>]>([
    ['a pid of a process group', { pid: -1 }],
    ['a pid of every process', { pid: 0 }],
    ['a pid with a command', { pid: '1; curl x | sh' }],
    ['an invalid time', { since: 'now; reboot' }],
    ['a host name that is too long', { host: 'h'.repeat(300) }],
    ['a path that is too long', { exportDir: `/${'x'.repeat(5000)}` }],
    ['an unknown operation', { operation: 'attack' }],
    ['an invalid height', { height: 1.5 }],
  ])('with %s is not believed', (_what, wrong) => {
    const lock = lockOperation([S], facts);
    rmSync(noticeFile(S));
    forge(S, { exportDir: '/forged', ...wrong });
    expect(operationOn(S)).not.toHaveProperty('exportDir');
    lock.release();
  });

  it('is not read through a link or pipe, or if others may write to it', () => {
    const lock = lockOperation([S], facts);
    const file = noticeFile(S);
    const own = join(dir, 'own');
    renameSync(file, own);
    const isTold = (): boolean => 'operation' in (operationOn(S) ?? {});
    symlinkSync(own, file);
    expect(isTold()).toBe(false);
    rmSync(file);
    linkSync(own, file);
    expect(isTold()).toBe(false);
    rmSync(own);
    expect(isTold()).toBe(true);
    chmodSync(file, 0o666);
    expect(isTold()).toBe(false);
    lock.release();
  });

  it.runIf(isRoot)('is not believed if another user owns its file', () => {
    const lock = lockOperation([S], facts);
    chownSync(noticeFile(S), 1234, 1234);
    expect(operationOn(S)).not.toHaveProperty('operation');
    lock.release();
  });

  it('has its paths quoted in the commands of a hint', () => {
    const lock = lockOperation([S], { operation: 'export', exportDir: '/a b; reboot' });
    const error = errorOf(() => lockOperation([S], facts)) as BusyError;
    expect(error.hint).toContain(`swingsnap discard --export-dir '/a b; reboot'`);
    lock.release();
  });

  it('of a long dead operation is removed by the next operation', async () => {
    await mkdir(join(dir, 'gone'));
    const old = forge(join(dir, 'gone'), {});
    utimesSync(old, 0, 0);
    const recent = forge(dir, {});
    const text = readFileSync(recent, 'utf8');
    lockOperation([S], facts).release();
    expect(existsSync(old)).toBe(false);
    expect(readFileSync(recent, 'utf8')).toBe(text);
  });
});
