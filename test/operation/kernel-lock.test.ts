import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { StorageError } from '../../src/errors.ts';
import { KernelLock, makeLockDirectory } from '../../src/io/kernel-lock.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { SQLITE_MODULE } from '../fixtures/same-sqlite.ts';

const tempDir = useTempDir();
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Another process that takes the lock as we do, and has it until it is killed; one that cannot get it ends. */
async function holdElsewhere(path: string): Promise<ChildProcess> {
  const script = `
    import { openDatabase } from '${SQLITE_MODULE}';
    const db = openDatabase(process.argv[1], { timeout: 0 });
    process.on('uncaughtException', () => console.log('busy'));
    db.exec('BEGIN IMMEDIATE');
    console.log('held');
    setInterval(() => db.open, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    cwd: root,
    stdio: 'pipe',
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  if (said.toString() !== 'held\n') throw new Error(said.toString());
  return child;
}

describe('a kernel lock', () => {
  it('is held by one at a time, and free again once it is released, twice as well', async () => {
    const path = join(await tempDir(), 'a.lock');
    expect(KernelLock.isHeldAt(path)).toBe(false);
    const lock = KernelLock.tryAcquire(path);
    expect(lock?.isHeld).toBe(true);
    expect(KernelLock.isHeldAt(path)).toBe(true);
    expect(KernelLock.tryAcquire(path, 0)).toBeUndefined();
    lock?.release();
    lock?.release();
    expect(lock?.isHeld).toBe(false);
    expect(KernelLock.isHeldAt(path)).toBe(false);
    const next = KernelLock.tryAcquire(path, 0);
    expect(next?.isHeld).toBe(true);
    next?.release();
  });

  it('is one empty file, held or not', async () => {
    const dir = await tempDir();
    const lock = KernelLock.tryAcquire(join(dir, 'a.lock'));
    expect(await readdir(dir)).toEqual(['a.lock']);
    expect((await stat(join(dir, 'a.lock'))).size).toBe(0);
    lock?.release();
    expect((await stat(join(dir, 'a.lock'))).size).toBe(0);
  });

  it('makes nothing when one only looks', async () => {
    const dir = await tempDir();
    expect(KernelLock.isHeldAt(join(dir, 'a.lock'))).toBe(false);
    expect(await readdir(dir)).toEqual([]);
  });

  it('stays held while its owner is referenced, however often garbage is collected', async () => {
    const path = join(await tempDir(), 'a.lock');
    const { gc } = globalThis;
    if (gc === undefined) throw new Error('run with --expose-gc');
    const owner = { lock: KernelLock.tryAcquire(path) };
    for (let i = 0; i < 20; i += 1) {
      gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect(holdElsewhere(path)).rejects.toThrow('busy');
    expect(KernelLock.isHeldAt(path)).toBe(true);
    expect(owner.lock?.isHeld).toBe(true);
    owner.lock?.release();
  });

  it('ends with its holder, even one that could not say so', async () => {
    const path = join(await tempDir(), 'a.lock');
    const holder = await holdElsewhere(path);
    expect(KernelLock.isHeldAt(path)).toBe(true);
    expect(KernelLock.tryAcquire(path, 0)).toBeUndefined();
    holder.kill('SIGKILL');
    await once(holder, 'close');
    expect(KernelLock.isHeldAt(path)).toBe(false);
    const lock = KernelLock.tryAcquire(path, 0);
    expect(lock?.isHeld).toBe(true);
    lock?.release();
  });

  it('is waited for by somebody with patience', async () => {
    const path = join(await tempDir(), 'a.lock');
    const holder = await holdElsewhere(path);
    const ended = once(holder, 'close');
    holder.kill('SIGKILL');
    const lock = KernelLock.tryAcquire(path, 30_000);
    expect(lock?.isHeld).toBe(true);
    lock?.release();
    await ended;
  });

  it('is asked of the kernel, not of the age of its file', async () => {
    const path = join(await tempDir(), 'a.lock');
    const lock = KernelLock.tryAcquire(path);
    await utimes(path, 0, 0);
    expect(KernelLock.isHeldAt(path)).toBe(true);
    lock?.release();
    expect((await stat(path)).mode & 0o777).toBe(0o666);
  });

  it('is not taken through a link, to a file or to nothing, or on a directory', async () => {
    const dir = await tempDir();
    await writeFile(join(dir, 'file'), '');
    await symlink(join(dir, 'missing'), join(dir, 'dangling.lock'));
    await symlink(join(dir, 'file'), join(dir, 'link.lock'));
    await mkdir(join(dir, 'directory.lock'));
    for (const name of ['dangling', 'link', 'directory']) {
      const path = join(dir, `${name}.lock`);
      for (const use of [() => KernelLock.tryAcquire(path), () => KernelLock.isHeldAt(path)]) {
        expect(use, name).toThrow(StorageError);
        expect(use, name).toThrow(expect.objectContaining({ code: 'LOCK_FILE', path }));
      }
    }
    expect(await readdir(dir)).not.toContain('missing');
  });
});

it('a directory for locks is for all users, none of whom may remove the files of others', async () => {
  const dir = join(await tempDir(), 'above', 'locks');
  makeLockDirectory(dir);
  makeLockDirectory(dir);
  expect((await stat(dir)).mode & 0o7777).toBe(0o1777);
});
