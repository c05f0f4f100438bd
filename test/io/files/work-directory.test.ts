import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, lstatSync, readdirSync } from 'node:fs';
import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withShownPaths } from '../../../src/io/files/descriptor-names.ts';
import {
  inPassingDirectory,
  namesOf,
  removeLeftovers,
  WorkDirectory,
} from '../../../src/io/files/work-directory.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();
const KIND = namesOf('.work-');
const NAME = '.work-0123456789ab';
const LOCK_TEXT = 'a lock of swingsnap\n';
const isLinux = process.platform === 'linux';

async function leftover(dir: string, name = NAME, lock = LOCK_TEXT): Promise<void> {
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, '.lock'), lock);
  await writeFile(join(dir, name, 'file'), 'x');
}

/** Another process that opens a file, and does something with it first. */
async function elsewhere(path: string, before = 'true'): Promise<ChildProcess> {
  const script = `exec 3<>"$0"; ${before}; echo open; exec sleep 60`;
  const child = spawn('sh', ['-ec', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'close');
}

describe('a work directory', () => {
  it('is accessible only to its user, and removed with its content', async () => {
    const dir = await tempDir();
    const work = WorkDirectory.make(dir, '.work-');
    expect(namesOf('.work-').test(basename(work.location))).toBe(true);
    expect(lstatSync(work.location).mode & 0o7777).toBe(0o700);
    expect(lstatSync(join(work.location, '.lock')).mode & 0o7777).toBe(0o600);
    await mkdir(join(work.path, 'a', 'b'), { recursive: true });
    await writeFile(join(work.path, 'a', 'b', 'file'), 'x');
    await mkdir(join(dir, 'kept'));
    await writeFile(join(dir, 'kept', 'file'), 'x');
    await symlink('../../kept', join(work.path, 'a', 'link'));
    work.remove();
    work.remove();
    expect(Object.keys(await listTree(dir))).toEqual(['kept', 'kept/file']);
  });

  it.runIf(isLinux)('is reached by its path even when its name leads elsewhere', async () => {
    const dir = await tempDir();
    const work = WorkDirectory.make(dir, '.work-');
    await rename(work.location, join(dir, 'moved'));
    await mkdir(join(dir, 'other'));
    await writeFile(join(dir, 'other', 'file'), 'x');
    await symlink('other', work.location);
    await writeFile(join(work.path, 'new'), 'x');
    expect(readdirSync(join(dir, 'moved'))).toEqual(['.lock', 'new']);
    work.remove();
    expect(readdirSync(dir)).toEqual([basename(work.location), 'moved', 'other']);
    expect(readdirSync(join(dir, 'other'))).toEqual(['file']);
    expect(readdirSync(join(dir, 'moved'))).toEqual([]);
  });

  it('has in messages the name that users know', async () => {
    const work = WorkDirectory.make(await tempDir(), '.work-');
    expect(withShownPaths(join(work.path, 'a', 'b'))).toBe(join(work.location, 'a', 'b'));
    const text = `cannot open '${work.path}/a'`;
    expect(withShownPaths(text)).toBe(`cannot open '${work.location}/a'`);
    expect(withShownPaths('/a/b')).toBe('/a/b');
    work.remove();
  });

  it('cannot be made if the parent directory is gone, and leaves nothing behind', async () => {
    const dir = await tempDir();
    expect(() => WorkDirectory.make(join(dir, 'gone'), '.work-')).toThrow('ENOENT');
    expect(await listTree(dir)).toEqual({});
  });
});

describe('a passing directory', () => {
  it('is removed after use, even after a failure', async () => {
    const dir = await tempDir();
    expect(inPassingDirectory(dir, '.work-', (path) => readdirSync(path))).toEqual(['.lock']);
    const failing = (): never => {
      throw new Error('no');
    };
    expect(() => inPassingDirectory(dir, '.work-', failing)).toThrow('no');
    expect(await listTree(dir)).toEqual({});
  });

  it('is made again if another process that cleans up has removed it', async () => {
    const dir = await tempDir();
    let uses = 0;
    const result = inPassingDirectory(dir, '.work-', (path) => {
      uses += 1;
      if (uses < 3) removeLeftovers(dir, KIND);
      return readdirSync(join(path, uses < 3 ? 'gone' : '.'));
    });
    expect([uses, result]).toEqual([3, ['.lock']]);
    expect(await listTree(dir)).toEqual({});
  });
});

describe('a leftover of a dead run', () => {
  it('is removed, and a directory in use is not', async () => {
    const dir = await tempDir();
    await leftover(dir);
    await mkdir(join(dir, '.work-ffffffffffff'));
    const work = WorkDirectory.make(dir, '.work-');
    removeLeftovers(dir, KIND);
    expect(Object.keys(await listTree(dir))).toHaveLength(2);
    work.remove();
    expect(await listTree(dir)).toEqual({});
  });

  it('is a directory that a killed process had locked', async () => {
    const dir = await tempDir();
    await leftover(dir);
    const before = await listTree(dir);
    const holder = await elsewhere(join(dir, NAME, '.lock'), 'flock -n -x 3');
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual(before);
    await end(holder);
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual({});
  });

  it.runIf(isLinux)('of version 0.1.0 is removed once no process has its lock open', async () => {
    const dir = await tempDir();
    await leftover(dir, NAME, '');
    chmodSync(join(dir, NAME), 0o755);
    chmodSync(join(dir, NAME, '.lock'), 0o666);
    const before = await listTree(dir);
    const holder = await elsewhere(join(dir, NAME, '.lock'));
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual(before);
    await end(holder);
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual({});
  });

  it('is not the target of a symlink', async () => {
    const dir = await tempDir();
    await leftover(dir, 'elsewhere');
    await symlink('elsewhere', join(dir, NAME));
    const before = await listTree(dir);
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual(before);
  });

  it('is not a directory with a lock of another program, or without one', async () => {
    const dir = await tempDir();
    await leftover(dir, NAME, '4711');
    await leftover(dir, '.work-999999999999', 'x'.repeat(10_000));
    await mkdir(join(dir, '.work-aaaaaaaaaaaa', '.lock'), { recursive: true });
    await mkdir(join(dir, '.work-bbbbbbbbbbbb'));
    await writeFile(join(dir, '.work-bbbbbbbbbbbb', 'file'), 'x');
    await mkdir(join(dir, '.work-cccccccccccc'));
    await writeFile(join(dir, 'lock'), LOCK_TEXT);
    await symlink('../lock', join(dir, '.work-cccccccccccc', '.lock'));
    const before = await listTree(dir);
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual(before);
  });

  it('is not a directory that all users may write to', async () => {
    const dir = await tempDir();
    await leftover(dir);
    chmodSync(join(dir, NAME), 0o777);
    removeLeftovers(dir, KIND);
    expect(existsSync(join(dir, NAME, 'file'))).toBe(true);
  });

  it.runIf(process.getuid?.() === 0)('is not a directory of another user', async () => {
    const dir = await tempDir();
    await leftover(dir);
    chownSync(join(dir, NAME), 1234, 1234);
    const before = await listTree(dir);
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual(before);
  });

  it('stays while something in it cannot be rescued', async () => {
    const dir = await tempDir();
    await leftover(dir);
    const before = await listTree(dir);
    removeLeftovers(dir, KIND, () => {
      throw new Error('no');
    });
    expect(await listTree(dir)).toEqual(before);
  });

  it('is passed to a rescue with both its paths before it is removed', async () => {
    const dir = await tempDir();
    await leftover(dir);
    let text = '';
    removeLeftovers(dir, KIND, ({ path, location }) => {
      expect(location).toBe(join(dir, NAME));
      text = readdirSync(path).join();
    });
    expect(text).toBe('.lock,file');
    expect(await listTree(dir)).toEqual({});
  });
});

it('the text in a lock file differs from a file that version 0.1.0 takes for its own', async () => {
  const work = WorkDirectory.make(await tempDir(), '.work-');
  expect(await readFile(join(work.path, '.lock'), 'utf8')).toBe(LOCK_TEXT);
  work.remove();
});
