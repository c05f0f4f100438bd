import { execFileSync } from 'node:child_process';
import { appendFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SourceFile } from '../../../src/io/files/source-file.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

async function open(content: string): Promise<{ file: SourceFile; path: string }> {
  const path = join(await tempDir(), 'file');
  await writeFile(path, content);
  return { file: SourceFile.open(path), path };
}

it('yields a file in pieces of at most the requested size, each in its own buffer', async () => {
  const { file } = await open('abcdefgh');
  const pieces: Buffer[] = [];
  for await (const piece of file.pieces(3)) pieces.push(piece);
  file.close();
  expect(pieces.map(String)).toEqual(['abc', 'def', 'gh']);
  expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(3);
});

it('yields no pieces of an empty file', async () => {
  const { file } = await open('');
  for await (const piece of file.pieces(3)) expect(piece).toBeUndefined();
  expect((await file.readWhole()).length).toBe(0);
  file.close();
});

it('reads up to the size that the file had when it was opened, or less if it has shrunk', async () => {
  const grown = await open('abc');
  await appendFile(grown.path, 'def');
  expect(String(await grown.file.readWhole())).toBe('abc');
  grown.file.close();
  const shrunk = await open('abcdef');
  await truncate(shrunk.path, 2);
  expect(String(await shrunk.file.readWhole())).toBe('ab');
  shrunk.file.close();
});

it('opens a pipe without waiting for a writer', async () => {
  const path = join(await tempDir(), 'pipe');
  execFileSync('mkfifo', [path]);
  const file = SourceFile.open(path);
  expect(file.stats.isFile()).toBe(false);
  file.close();
});
