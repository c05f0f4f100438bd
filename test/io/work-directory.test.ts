import { chownSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { namesOf, removeLeftovers, WorkDirectory } from '../../src/io/work-directory.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';

const tempDir = useTempDir();
const KIND = namesOf('.work-');
const NAME = '.work-0123456789ab';

async function leftover(dir: string, name = NAME, lock = ''): Promise<void> {
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, '.lock'), lock);
  await writeFile(join(dir, name, 'file'), 'x');
}

describe('what a dead run has left', () => {
  it('is removed, and what the living use is not', async () => {
    const dir = await tempDir();
    await leftover(dir);
    await mkdir(join(dir, '.work-ffffffffffff'));
    const work = WorkDirectory.make(dir, '.work-');
    removeLeftovers(dir, KIND);
    expect(Object.keys(await listTree(dir))).toHaveLength(2);
    work.remove();
    expect(await listTree(dir)).toEqual({});
  });

  it('is not what a link leads to', async () => {
    const dir = await tempDir();
    await leftover(dir, 'elsewhere');
    await symlink('elsewhere', join(dir, NAME));
    const before = await listTree(dir);
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual(before);
  });

  it('is not a directory with a lock of another program, or none', async () => {
    const dir = await tempDir();
    await leftover(dir, NAME, '4711');
    await mkdir(join(dir, '.work-aaaaaaaaaaaa', '.lock'), { recursive: true });
    await mkdir(join(dir, '.work-bbbbbbbbbbbb'));
    await writeFile(join(dir, '.work-bbbbbbbbbbbb', 'file'), 'x');
    await mkdir(join(dir, '.work-cccccccccccc'));
    await writeFile(join(dir, 'lock'), '');
    await symlink('../lock', join(dir, '.work-cccccccccccc', '.lock'));
    const before = await listTree(dir);
    removeLeftovers(dir, KIND);
    expect(await listTree(dir)).toEqual(before);
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
});
