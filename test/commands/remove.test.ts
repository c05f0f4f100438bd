/** `remove` and `show`, which take single snapshots. */
import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { listTree, useTempDir, visibleIn } from '../fixtures/directories.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { CHUNK_BYTES, makePlace } from '../operation/place/made-place.ts';

const tempDir = useTempDir();

describe('remove', () => {
  it('removes these heights, whole or damaged, and tells what that frees', async () => {
    const dir = await tempDir();
    await makePlace(dir, [
      { height: 1, chunks: ['a', 'both'] },
      { height: 2, chunks: ['b', 'both', 'kept'] },
      { height: 3, chunks: ['kept'] },
      { height: 4 },
    ]);
    await rm(path.join(dir, '4', 'manifest.json'));
    const words = ['remove', ...['1', '2', '4', '2'].map((name) => path.join(dir, name))];
    const before = await listTree(dir);
    const dry = await runCli([...words, '--dry-run', '--json']);
    expect(await listTree(dir)).toEqual(before);
    const { json } = await runCli([...words, '--json']);
    expect(await visibleIn(dir)).toEqual(['3']);
    const removed = [
      { path: path.join(dir, '1'), height: 1, state: 'whole' },
      { path: path.join(dir, '2'), height: 2, state: 'whole' },
      { path: path.join(dir, '4'), height: 4, state: 'damaged' },
    ];
    expect(json).toMatchObject({ dryRun: false, removed });
    const { freed } = json as { freed: number };
    expect(dry.json).toMatchObject({ dryRun: true, removed, freed });
    const own = Object.entries(before)
      .filter(([name]) => /^[12]\/(?:manifest|entries)/u.test(name))
      .map(([, { size }]) => size);
    expect(freed).toBe(own.reduce((a, b) => a + b) + 3 * CHUNK_BYTES);
  });

  it('removes nothing if one of the names is no snapshot of a snapshot dir', async () => {
    const dir = await tempDir();
    await makePlace(dir, [{ height: 1 }, { height: 2 }]);
    await symlink('1', path.join(dir, '3'));
    for (const name of ['4', 'other']) await mkdir(path.join(dir, name));
    const before = await listTree(dir);
    for (const [name, code, exitCode] of [
      ['3', 'NOT_A_SNAPSHOT', 2],
      ['4', 'NOT_A_SNAPSHOT', 2],
      ['other', 'NOT_A_SNAPSHOT', 2],
      ['.', 'NOT_A_SNAPSHOT', 2],
      ['5', 'SNAPSHOT_MISSING', 5],
      ['1/chunks', 'NOT_A_SNAPSHOT', 2],
    ] as const) {
      const words = ['remove', path.join(dir, '1'), path.join(dir, name), '--json'];
      expect(await runCli(words)).toMatchObject({ exitCode, json: { error: { code } } });
    }
    expect(await runCli(['remove'])).toMatchObject({ exitCode: 2 });
    expect(await listTree(dir)).toEqual(before);
  });
});

describe('show', () => {
  it('shows all of one manifest', async () => {
    const dir = await tempDir();
    await makePlace(dir, [{ height: 1, at: '2026-01-02T03:04:05.678Z' }, { height: 2 }]);
    const { stdout } = await runCli(['show', path.join(dir, '1')]);
    const text = await readFile(path.join(dir, '1', 'manifest.json'), 'utf8');
    for (const hash of text.match(/[0-9a-f]{64}/gu) ?? []) expect(stdout).toContain(hash);
    expect(stdout).toMatch(/^snapshot of height 1 \(operational\): /u);
    expect(stdout).toMatch(/ at +2026-01-02T03:04:05\.678Z\n/u);
    const { json } = await runCli(['show', dir, '--height', '1', '--json']);
    expect(json).toMatchObject({ path: path.join(dir, '1'), manifest: JSON.parse(text) as object });
    expect(await runCli(['show', dir, '--json'])).toMatchObject({
      json: { manifest: { height: 2 } },
    });
  });

  it('refuses what has no such manifest', async () => {
    const dir = await tempDir();
    await makePlace(dir, [{ height: 1 }]);
    const words = ['--height', '2', '--json'];
    for (const source of [dir, path.join(dir, '1')]) {
      expect(await runCli(['show', source, ...words])).toMatchObject({
        exitCode: 5,
        json: { error: { code: 'HEIGHT' } },
      });
    }
    await rm(path.join(dir, '1', 'manifest.json'));
    expect(await runCli(['show', path.join(dir, '1')])).toMatchObject({ exitCode: 3 });
  });
});
