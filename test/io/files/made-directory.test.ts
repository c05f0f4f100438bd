import { chown, mkdir, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect, it } from 'vitest';
import { makeDirectory, unmakeDirectories } from '../../../src/io/files/made-directory.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

it('makes the missing directories and removes only those again', async () => {
  const dir = await tempDir();
  const made = await makeDirectory(join(dir, 'a', 'b', 'c'));
  expect(made.map(({ path }) => path)).toEqual(
    ['a/b/c', 'a/b', 'a'].map((path) => join(dir, path)),
  );
  expect(await makeDirectory(join(dir, 'a', 'b'))).toEqual([]);
  await unmakeDirectories(made);
  expect(await listTree(dir)).toEqual({});
});

it('does the same for a relative path', async () => {
  const dir = await tempDir();
  const made = await makeDirectory(relative(process.cwd(), join(dir, 'a', 'b')));
  expect(made.map(({ path }) => path)).toEqual([join(dir, 'a', 'b'), join(dir, 'a')]);
  expect((await stat(join(dir, 'a', 'b'))).isDirectory()).toBe(true);
});

it('leaves a directory that is no longer empty, and its parents', async () => {
  const dir = await tempDir();
  const made = await makeDirectory(join(dir, 'a', 'b'));
  await writeFile(join(dir, 'a', 'file'), 'x');
  await unmakeDirectories(made);
  expect(Object.keys(await listTree(dir))).toEqual(['a', 'a/file']);
});

it('leaves a directory that has replaced a new one', async () => {
  const dir = await tempDir();
  await mkdir(join(dir, 'elsewhere', 'b'), { recursive: true });
  const made = await makeDirectory(join(dir, 'a', 'b'));
  await rename(join(dir, 'a'), join(dir, 'moved'));
  await symlink('elsewhere', join(dir, 'a'));
  const before = await listTree(dir);
  await unmakeDirectories(made);
  expect(await listTree(dir)).toEqual(before);
});

it('names a directory that cannot be made, and leaves nothing', async () => {
  const dir = await tempDir();
  const name = 'n'.repeat(300);
  await expect(makeDirectory(join(dir, 'a', name))).rejects.toMatchObject({
    code: 'MAKE_DIRECTORY',
    exitCode: 6,
    path: join(dir, 'a', name),
    found: 'ENAMETOOLONG',
  });
  expect(await listTree(dir)).toEqual({});
  await expect(makeDirectory('/proc/x/y')).rejects.toMatchObject({
    code: 'MAKE_DIRECTORY',
    exitCode: 6,
    path: '/proc/x',
    found: 'ENOENT',
  });
});

it('makes no directory through a symlink', async () => {
  const dir = await tempDir();
  await symlink('nowhere', join(dir, 'link'));
  await expect(makeDirectory(join(dir, 'link', 'a'))).rejects.toMatchObject({
    code: 'LINK_TO_NOTHING',
    path: join(dir, 'link'),
  });
  expect(Object.keys(await listTree(dir))).toEqual(['link']);
});

it.runIf(process.getuid?.() === 0)(
  'gives what root makes to the owner of the parent directory',
  async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'home'));
    await chown(join(dir, 'home'), 1234, 2345);
    await makeDirectory(join(dir, 'home', 'a', 'b'), { ownedAsAbove: true });
    await makeDirectory(join(dir, 'home', 'c'));
    const owner = async (path: string): Promise<string> => {
      const { uid, gid } = await stat(join(dir, 'home', path));
      return `${uid}:${gid}`;
    };
    expect(await Promise.all(['a', 'a/b', 'c'].map(owner))).toEqual([
      '1234:2345',
      '1234:2345',
      '0:0',
    ]);
  },
);
