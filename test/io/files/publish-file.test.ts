import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { publishFile, writeDurably, writeFully } from '../../../src/io/files/publish-file.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

describe('publishing a file', () => {
  it('replaces the old content with the new one, and leaves nothing else', async () => {
    const dir = await tempDir();
    const file = path.join(dir, 'file');
    await writeFile(file, 'a longer old content');
    await publishFile(file, 'new');
    expect(await readFile(file, 'utf8')).toBe('new');
    await publishFile(file, async (handle) => {
      await writeFully(handle, Buffer.from('piece '));
      await writeFully(handle, Buffer.from('by piece'));
    });
    expect(await readFile(file, 'utf8')).toBe('piece by piece');
    expect(Object.keys(await listTree(dir))).toEqual(['file']);
  });

  it('leaves the old content and nothing else if writing the new one fails', async () => {
    const dir = await tempDir();
    const file = path.join(dir, 'file');
    await writeFile(file, 'old');
    const before = await listTree(dir);
    const failed = publishFile(file, async (handle) => {
      await writeFully(handle, Buffer.from('half'));
      throw new Error('no more');
    });
    await expect(failed).rejects.toThrow('no more');
    expect(await listTree(dir)).toEqual(before);
  });

  it('leaves nothing behind if a directory has the name', async () => {
    const dir = await tempDir();
    await mkdir(path.join(dir, 'file', 'in it'), { recursive: true });
    const before = await listTree(dir);
    await expect(publishFile(path.join(dir, 'file'), 'new')).rejects.toThrow();
    expect(await listTree(dir)).toEqual(before);
  });

  it('never writes into an existing file', async () => {
    const file = path.join(await tempDir(), 'file');
    await writeFile(file, 'theirs');
    await expect(writeDurably(file, 'ours')).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await readFile(file, 'utf8')).toBe('theirs');
  });
});
