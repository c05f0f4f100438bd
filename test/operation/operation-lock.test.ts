import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { link, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { BusyError, StorageError, UsageError } from '../../src/errors.ts';
import { lockDir, lockFileOf } from '../../src/operation/lock-dir.ts';
import {
  lockedPathsOf,
  lockOperation,
  operationOn,
  type NoticeFacts,
} from '../../src/operation/operation-lock.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { useLockDir } from './processes.ts';

const tempDir = useTempDir();
let dir: string;
let S: string;

beforeEach(async () => {
  dir = await tempDir();
  useLockDir(dir);
  S = join(dir, 'S');
  await mkdir(S);
  await writeFile(join(S, 'swingstore.sqlite'), '');
});

const facts: NoticeFacts = { operation: 'export', height: 7, exportDir: '/backup/E' };

function errorOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

describe('the lock dir', () => {
  it('is the one that the environment names, made for everybody', () => {
    const named = join(dir, 'a', 'b');
    expect(lockDir({ SWINGSNAP_LOCK_DIR: named, TMPDIR: '/elsewhere' })).toBe(named);
    expect(readdirSync(named)).toEqual([]);
  });

  it('is never where TMPDIR and XDG_RUNTIME_DIR point', () => {
    const env = { TMPDIR: join(dir, 'tmp'), XDG_RUNTIME_DIR: join(dir, 'xdg') };
    expect(['/run/lock/swingsnap', '/tmp/swingsnap-locks']).toContain(lockDir(env));
    expect(lockDir({ ...env, SWINGSNAP_LOCK_DIR: '' })).toBe(lockDir({}));
  });

  it('is not another one when the named one cannot be written', () => {
    writeFileSync(join(dir, 'file'), '');
    const error = errorOf(() => lockDir({ SWINGSNAP_LOCK_DIR: join(dir, 'file', 'locks') }));
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ code: 'LOCK_DIR', exitCode: 6 });
  });

  it('is not named by a link or from a working directory', async () => {
    await mkdir(join(dir, 'real'));
    await symlink(join(dir, 'real'), join(dir, 'link'));
    const linked = errorOf(() => lockDir({ SWINGSNAP_LOCK_DIR: join(dir, 'link') }));
    expect(linked).toMatchObject({ code: 'LOCK_DIR', found: 'a symbolic link' });
    const relative = errorOf(() => lockDir({ SWINGSNAP_LOCK_DIR: 'locks' }));
    expect(relative).toBeInstanceOf(UsageError);
    expect(relative).toMatchObject({ code: 'LOCK_DIR_RELATIVE', found: 'locks' });
  });

  it.runIf(process.getuid?.() === 0)('is not a directory of another user', () => {
    const named = join(dir, 'theirs');
    mkdirSync(named);
    chownSync(named, 1234, 1234);
    expect(errorOf(() => lockDir({ SWINGSNAP_LOCK_DIR: named }))).toMatchObject({
      code: 'LOCK_DIR',
      found: 'a directory of user 1234',
    });
  });
});

describe('a lock on an operation', () => {
  it('names what is in progress to whom it keeps out', () => {
    const lock = lockOperation([S], facts);
    const error = errorOf(() => lockOperation([S], { operation: 'restore' }));
    expect(error).toBeInstanceOf(BusyError);
    expect(error).toMatchObject({ code: 'BUSY', exitCode: 4, path: '/backup/E' });
    expect(String(error)).toContain('export of height 7 is in progress');
    expect((error as BusyError).found).toContain(`process ${String(process.pid)} on `);
    expect((error as BusyError).hint).toContain('swingsnap discard --export-dir /backup/E');
    lock.update({ height: 8 });
    expect(operationOn(S)).toMatchObject({ operation: 'export', height: 8, pid: process.pid });
    lock.release();
    lock.release();
    expect(operationOn(S)).toBeUndefined();
  });

  it('is the same by every path of a store', async () => {
    await symlink(S, join(dir, 'link'));
    await mkdir(join(dir, 'hard'));
    await link(join(S, 'swingstore.sqlite'), join(dir, 'hard', 'swingstore.sqlite'));
    const lock = lockOperation(lockedPathsOf(S), facts);
    for (const alias of [join(dir, 'link'), join(dir, 'hard'), `${S}/../S`]) {
      const error = errorOf(() => lockOperation(lockedPathsOf(alias), facts));
      expect(error, alias).toMatchObject({ code: 'BUSY' });
    }
    lock.release();
    // Of a refused one, nothing stays locked: the other directory itself was free.
    expect(operationOn(join(dir, 'hard'))).toBeUndefined();
  });

  it('of a moved directory goes with it, and a new one in its place is free', async () => {
    const lock = lockOperation([S], facts);
    await rename(S, join(dir, 'moved'));
    await mkdir(S);
    expect(operationOn(S)).toBeUndefined();
    expect(operationOn(join(dir, 'moved'))).toMatchObject({ operation: 'export' });
    lock.release();
  });

  it('on nothing says so', async () => {
    await rm(S, { recursive: true });
    const lock = lockOperation([S], facts);
    expect(lock.isEmpty).toBe(true);
    lock.release();
  });

  it('holds with a notice that nobody can read, or none', () => {
    const lock = lockOperation([S], facts);
    const notice = (lockFileOf(S) ?? '').replace(/lock$/u, 'json');
    writeFileSync(notice, '{"operation":"exp');
    expect(operationOn(S)).toEqual({});
    expect(errorOf(() => lockOperation([S], facts))).toMatchObject({ code: 'BUSY' });
    rmSync(notice);
    expect(operationOn(S)).toEqual({});
    lock.release();
  });

  it('is not deceived by the notice of the dead', () => {
    const notice = (lockFileOf(S) ?? '').replace(/lock$/u, 'json');
    const dead = { operation: 'export', pid: process.pid, host: 'here', since: '2020-01-01' };
    writeFileSync(notice, JSON.stringify(dead));
    expect(operationOn(S)).toBeUndefined();
    const lock = lockOperation([S], { operation: 'retrieve' });
    expect(operationOn(S)).toMatchObject({ operation: 'retrieve' });
    lock.release();
  });

  it('is told of and asked about through no link or pipe', async () => {
    const notice = (lockFileOf(S) ?? '').replace(/lock$/u, 'json');
    const target = join(dir, 'target');
    const told = JSON.stringify({ operation: 'restore', pid: 1, host: 'h', since: '' });
    const lock = lockOperation([S], facts);
    writeFileSync(target, told);
    rmSync(notice);
    await symlink(target, notice);
    expect(operationOn(S)).toEqual({});
    lock.update({ height: 8 });
    expect(readFileSync(target, 'utf8')).toBe(told);
    expect(operationOn(S)).toMatchObject({ height: 8 });
    rmSync(notice);
    execFileSync('mkfifo', [notice]);
    expect(operationOn(S)).toEqual({});
    lock.release();
  });

  it('leaves no temporary file among the locks', async () => {
    const lock = lockOperation(lockedPathsOf(S), facts);
    for (let height = 0; height < 5; height += 1) lock.update({ height });
    lock.release();
    expect((await readdir(lockDir())).filter((name) => !name.endsWith('.lock'))).toEqual([]);
  });

  it.runIf(process.getuid?.() === 0)(
    'is told of over the notice that another user has left',
    async () => {
      const locks = lockDir();
      const notice = (lockFileOf(S) ?? '').replace(/lock$/u, 'json');
      writeFileSync(notice, JSON.stringify({ operation: 'restore', pid: 1, host: 'h', since: '' }));
      chmodSync(notice, 0o666);
      chownSync(notice, 1234, 1234);
      mkdirSync(join(dir, 'E'));
      chmodSync(dir, 0o755);
      process.seteuid?.(65_534);
      try {
        const lock = lockOperation([S], { operation: 'retrieve' });
        expect(operationOn(S)).toMatchObject({ operation: 'retrieve' });
        lock.release();
      } finally {
        process.seteuid?.(0);
      }
      expect(locks).toBe(join(dir, 'locks'));
    },
  );
});
