import { closeSync, fstatSync } from 'node:fs';
import { lchown, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HeldDirectory, isSame } from '../../../src/io/files/held-directory.ts';
import { reachDirectory } from '../../../src/io/files/reach-directory.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

async function leadsTo(path: string, expected: string): Promise<boolean> {
  const fd = reachDirectory(path);
  const found = fstatSync(fd);
  closeSync(fd);
  return isSame(found, await stat(expected));
}

describe('a path', () => {
  it('leads through symlinks of every kind to a directory', async () => {
    const dir = await tempDir();
    const target = join(dir, 'a', 'b');
    await mkdir(target, { recursive: true });
    await symlink('a', join(dir, 'relative'));
    await symlink(join(dir, 'a'), join(dir, 'absolute'));
    await symlink('../absolute/./b', join(dir, 'a', 'twice'));
    await symlink('../a//b/../b/', join(dir, 'a', 'up'));
    for (const path of ['a/b', 'relative/b', 'absolute/b', 'a/twice', 'relative/up', 'a/b/']) {
      expect(await leadsTo(join(dir, path), target), path).toBe(true);
    }
    expect(await leadsTo(relative(process.cwd(), target), target)).toBe(true);
    expect(await leadsTo('/', '/')).toBe(true);
  });

  it('leads into a held directory', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'a', 'b'), { recursive: true });
    const held = HeldDirectory.open(join(dir, 'a'));
    expect(await leadsTo(held.path, join(dir, 'a'))).toBe(true);
    expect(await leadsTo(held.at('b'), join(dir, 'a', 'b'))).toBe(true);
    held.close();
  });

  it('leads nowhere if the system reports an error', async () => {
    const dir = await tempDir();
    await writeFile(join(dir, 'file'), '');
    await symlink('loop', join(dir, 'loop'));
    await symlink('nothing', join(dir, 'dangling'));
    expect(() => reachDirectory(join(dir, 'file'))).toThrow('ENOTDIR');
    expect(() => reachDirectory(join(dir, 'loop'))).toThrow('ELOOP');
    expect(() => reachDirectory(join(dir, 'dangling', 'a'))).toThrow('ENOENT');
  });

  it.runIf(process.getuid?.() === 0)(
    "leads through another user's symlink only to what is that user's",
    async () => {
      const dir = await tempDir();
      for (const name of ['ours', 'theirs']) await mkdir(join(dir, name));
      await lchown(join(dir, 'theirs'), 1234, 1234);
      for (const name of ['ours', 'theirs']) {
        await symlink(name, join(dir, `to-${name}`));
        await lchown(join(dir, `to-${name}`), 1234, 1234);
      }
      await symlink('ours', join(dir, 'own-link'));
      expect(await leadsTo(join(dir, 'to-theirs'), join(dir, 'theirs'))).toBe(true);
      expect(await leadsTo(join(dir, 'own-link'), join(dir, 'ours'))).toBe(true);
      expect(() => reachDirectory(join(dir, 'to-ours'))).toThrow(
        expect.objectContaining({ code: 'FOREIGN_LINK', exitCode: 6 }),
      );
    },
  );
});
