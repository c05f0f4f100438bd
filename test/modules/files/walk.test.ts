import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { walkTree } from '../../../src/modules/files/walk.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

it.runIf(process.platform === 'linux')(
  'the walk of a tree does not follow a link that replaced a found directory',
  async () => {
    const dir = await tempDir();
    for (const name of ['tree/sub', 'secret']) await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, 'tree', 'sub', 'own'), '');
    await writeFile(join(dir, 'secret', 'key'), '');
    const found: string[] = [];
    const walk = async (): Promise<void> => {
      for await (const { path } of walkTree(join(dir, 'tree'))) {
        found.push(path);
        if (path !== 'sub') continue;
        await rename(join(dir, 'tree', 'sub'), join(dir, 'aside'));
        await symlink('../secret', join(dir, 'tree', 'sub'));
      }
    };
    await expect(walk()).rejects.toMatchObject({ code: 'FILE_CHANGED' });
    expect(found).toEqual(['.', 'sub', 'sub/own']);
  },
);
