import { existsSync } from 'node:fs';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import {
  isExportDirectory,
  removeExportDirectory,
} from '../../../src/formats/export-directory/remove.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

async function madeExport(artifacts: readonly (readonly [string, string])[] = []) {
  const parent = await tempDir();
  const exportDir = path.join(parent, 'E');
  await mkdir(exportDir);
  const manifest = { blockHeight: 1, artifacts, data: 'export-data.jsonl' };
  await writeFile(path.join(exportDir, 'export-manifest.json'), JSON.stringify(manifest));
  await writeFile(path.join(exportDir, 'export-data.jsonl'), '');
  return { parent, exportDir };
}

describe('removing an export directory', () => {
  it('removes the files that the manifest names, and then the directory', async () => {
    const { parent, exportDir } = await madeExport([['bundle.b0-x', '0-bundle']]);
    await writeFile(path.join(exportDir, '0-bundle'), 'x');
    expect(isExportDirectory(exportDir)).toBe(true);
    expect(await removeExportDirectory(exportDir)).toMatchObject({ gone: true, left: [] });
    expect(await listTree(parent)).toEqual({});
  });

  it('keeps and reports all other files, and can be repeated', async () => {
    const { exportDir } = await madeExport();
    await writeFile(path.join(exportDir, 'untrusted-export-data.jsonl'), 'x');
    await mkdir(path.join(exportDir, 'sub'));
    const left = ['sub', 'untrusted-export-data.jsonl'];
    expect(await removeExportDirectory(exportDir)).toMatchObject({ gone: false, left });
    expect(await removeExportDirectory(exportDir)).toMatchObject({ files: 0, gone: false, left });
    expect(Object.keys(await listTree(exportDir))).toEqual(left);
    expect(isExportDirectory(exportDir)).toBe(false);
  });

  it('continues where a killed run stopped', async () => {
    const { parent, exportDir } = await madeExport();
    const manifest = path.join(exportDir, 'export-manifest.json');
    await rename(manifest, path.join(exportDir, '.swingsnap-discarded.json'));
    expect(isExportDirectory(exportDir)).toBe(true);
    expect(await removeExportDirectory(exportDir)).toMatchObject({ gone: true });
    expect(await listTree(parent)).toEqual({});
  });

  it.each([
    '.',
    '..',
    '',
    'a\0b',
    '/etc/hostname',
    'sub/',
    'sub',
    'sub/file',
    '../outside',
    'link/file',
    './sub/../sub/file',
  ])('does not follow a manifest that names %j', async (file) => {
    const { parent, exportDir } = await madeExport([['bundle.b0-x', file]]);
    await mkdir(path.join(exportDir, 'sub'));
    await writeFile(path.join(exportDir, 'sub', 'file'), 'x');
    await writeFile(path.join(parent, 'outside'), 'x');
    await mkdir(path.join(parent, 'other'));
    await writeFile(path.join(parent, 'other', 'file'), 'x');
    await symlink(path.join(parent, 'other'), path.join(exportDir, 'link'));
    const removal = await removeExportDirectory(exportDir);
    expect(removal).toMatchObject({ gone: false, left: ['link', 'sub'] });
    for (const kept of ['outside', 'other/file', 'E/sub/file']) {
      expect([kept, existsSync(path.join(parent, kept))]).toEqual([kept, true]);
    }
  });

  it('removes a link, but not its target', async () => {
    const { parent, exportDir } = await madeExport([['bundle.b0-x', 'link']]);
    await writeFile(path.join(parent, 'outside'), 'x');
    await symlink(path.join(parent, 'outside'), path.join(exportDir, 'link'));
    expect(await removeExportDirectory(exportDir)).toMatchObject({ gone: true });
    expect(Object.keys(await listTree(parent))).toEqual(['outside']);
  });

  it.each(['{"blockHeight":1,"artif', '{"artifacts":[["a","a"],["a","b"]]}'])(
    'changes nothing if the manifest is damaged and the export is not ours: %s',
    async (text) => {
      const { exportDir } = await madeExport();
      await writeFile(path.join(exportDir, 'export-manifest.json'), text);
      await writeFile(path.join(exportDir, 'bundle.b0-x'), 'x');
      const before = await listTree(exportDir);
      const removal = removeExportDirectory(exportDir);
      await expect(removal).rejects.toThrow(VerificationError);
      await expect(removal).rejects.toMatchObject({
        hint: 'nothing was removed; check the directory and remove it by hand',
      });
      expect(await listTree(exportDir)).toEqual(before);
    },
  );

  it('finds the files of our own export by their names if its manifest is damaged', async () => {
    const { exportDir } = await madeExport();
    const bundle = `bundle.b1-${'0'.repeat(128)}`;
    await writeFile(path.join(exportDir, 'export-manifest.json'), '{"blockHeight":1,"artif');
    for (const name of [bundle, 'transcript.v1.0.5', '.swingsnap-operation.json', 'notes'])
      await writeFile(path.join(exportDir, name), '');
    expect(await removeExportDirectory(exportDir)).toMatchObject({ files: 5, left: ['notes'] });
  });
});
