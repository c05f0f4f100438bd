import { mkdirSync, readdirSync } from 'node:fs';
import { chmod, mkdir, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { withShownPaths } from '../../../src/io/files/descriptor-names.ts';
import { HeldDirectory, isSame } from '../../../src/io/files/held-directory.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();
const isLinux = process.platform === 'linux';

it.runIf(isLinux)('reaches into a directory that was replaced by something else', async () => {
  const dir = await tempDir();
  await mkdir(join(dir, 'a'));
  const held = HeldDirectory.open(join(dir, 'a'));
  await rename(join(dir, 'a'), join(dir, 'b'));
  await mkdir(join(dir, 'victim'));
  await symlink('victim', join(dir, 'a'));
  mkdirSync(held.at('new'));
  held.close();
  expect(readdirSync(join(dir, 'b'))).toEqual(['new']);
  expect(readdirSync(join(dir, 'victim'))).toEqual([]);
});

it('removes its content, but no target of a symlink', async () => {
  const dir = await tempDir();
  await mkdir(join(dir, 'victim'));
  await writeFile(join(dir, 'victim', 'file'), 'x');
  await mkdir(join(dir, 'a', 'tree', 'deep'), { recursive: true });
  await symlink('../../victim', join(dir, 'a', 'tree', 'link'));
  await symlink('../victim', join(dir, 'a', 'top'));
  await writeFile(join(dir, 'a', 'tree', 'deep', 'file'), 'x');
  await chmod(join(dir, 'a', 'tree', 'deep'), 0o500);
  const held = HeldDirectory.open(join(dir, 'a'));
  for (const name of ['tree', 'top', 'not there']) held.discard(name);
  held.close();
  expect(readdirSync(join(dir, 'a'))).toEqual([]);
  expect(Object.keys(await listTree(join(dir, 'victim')))).toEqual(['file']);
});

it('does not follow a symlink when it is opened inside another directory', async () => {
  const dir = await tempDir();
  await mkdir(join(dir, 'victim'));
  await symlink('victim', join(dir, 'link'));
  const held = HeldDirectory.open(dir);
  expect(() => held.openInside('link')).toThrow(/ENOTDIR|ELOOP/u);
  const child = held.openInside('victim');
  expect(isSame(child.stat, await stat(join(dir, 'victim')))).toBe(true);
  child.close();
  held.close();
});

it('is named in messages by the path by which it was opened', async () => {
  const dir = await tempDir();
  const held = HeldDirectory.open(dir);
  expect(withShownPaths(`ENOSPC: no space, open '${held.at('file')}'`)).toBe(
    `ENOSPC: no space, open '${join(dir, 'file')}'`,
  );
  held.close();
});
