import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { unmountedPointAbove } from '../../../src/io/disks/mounts.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

/** Answers for paths below a directory, where fstab and mountinfo name these points in it. */
async function pointAbove(
  wanted: readonly string[],
  mounted: readonly string[],
): Promise<(path: string) => string | undefined> {
  const dir = await tempDir();
  const [fstab, mountinfo] = [join(dir, 'fstab'), join(dir, 'mountinfo')];
  const [root, escape] = [join(dir, 'root'), (path: string) => path.replaceAll(' ', '\\040')];
  await mkdir(join(root, 'two words'), { recursive: true });
  await symlink('two words', join(root, 'link'));
  await writeFile(
    fstab,
    [
      '# /commented /root/out ext4',
      '',
      'UUID=1 / ext4 defaults 0 1',
      'UUID=2 none swap sw 0 0',
      ...wanted.map((point) => `\t/dev/sdb1\t${escape(join(root, point))} ext4 noauto 0 2`),
    ].join('\n'),
  );
  const line = (point: string): string =>
    `36 35 98:0 / ${escape(point)} rw,noatime - ext4 /dev/root rw\n`;
  await writeFile(
    mountinfo,
    ['/', ...mounted.map((point) => join(root, point))].map(line).join(''),
  );
  return (path) => {
    const found = unmountedPointAbove(join(root, path), { fstab, mountinfo });
    return found?.slice(root.length + 1);
  };
}

it('finds the point above a path, or at it, if nothing is mounted on it', async () => {
  const above = await pointAbove(['backup', 'two words'], []);
  expect(above('backup/snapshots/new')).toBe('backup');
  expect(above('backup')).toBe('backup');
  expect(above('backups')).toBeUndefined();
  expect(above('elsewhere')).toBeUndefined();
  expect(above('two words/a')).toBe('two words');
  expect(above('link/a')).toBe('two words');
});

it('finds none if something is mounted on it, or between it and the path', async () => {
  const above = await pointAbove(['backup', 'srv', 'link'], ['backup', 'srv/disk', 'two words']);
  expect(above('backup/snapshots')).toBeUndefined();
  expect(above('srv/disk/snapshots')).toBeUndefined();
  expect(above('srv/other')).toBe('srv');
  expect(above('two words/a')).toBeUndefined();
});

it('finds none if the tables cannot be read', () => {
  const files = { fstab: '/nonexistent', mountinfo: '/nonexistent' };
  expect(unmountedPointAbove('/a', files)).toBeUndefined();
  expect(unmountedPointAbove('/a')).toBeUndefined();
});
