/** Version 2 of the format where only zstd-codec is there, which has no large windows. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import { runCli, type CliResult } from '../../fixtures/run-cli.ts';
import { makeContent, noise, smallSpec, writeExportDir } from '../made-export.ts';
import { take } from './taken.ts';

const MIB = 1024 * 1024;
const small = makeContent(smallSpec);
const large = makeContent({
  height: 8,
  vats: [{ vatID: 'v1', heap: Buffer.from(noise(5 * MIB, 'large')), spans: [['a'], ['b']] }],
});

describe('with zstd-codec alone', () => {
  const fileDir = useTempDir('file');
  const tempDir = useTempDir();
  let snapshots: string;
  let exportDir: string;

  const run = async (...args: string[]): Promise<CliResult> =>
    runCli(args, { env: { SWINGSNAP_ZSTD: 'zstd-codec' } });

  beforeAll(async () => {
    const dir = await fileDir();
    snapshots = path.join(dir, 'snapshots');
    exportDir = await writeExportDir(path.join(dir, 'small'), small);
    const other = await writeExportDir(path.join(dir, 'large'), large);
    for (const from of [exportDir, other]) {
      const { manifest } = await take(snapshots, { exportDir: from, remove: 'never', wait: false });
      expect(manifest.version).toBe(2);
    }
  });

  it('writes version 1, unless told otherwise', async () => {
    const dir = await tempDir();
    const to = ['--snapshot-dir', dir, '--create', '--export-dir', exportDir, '--keep-export'];
    const written = await run('retrieve', ...to, '--json');
    expect(written.json).toMatchObject({ formatVersion: 1, codec: 'zstd-codec' });
    const manifest = await readFile(path.join(dir, '7', 'manifest.json'), 'utf8');
    expect(JSON.parse(manifest)).toMatchObject({ version: 1 });
  });

  it('refuses to write version 2, and makes nothing', async () => {
    const dir = await tempDir();
    const to = ['--snapshot-dir', dir, '--create', '--export-dir', exportDir, '--keep-export'];
    const refused = await run('retrieve', ...to, '--format-version', '2');
    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toContain(
      'the zstd library here cannot write this version of the format',
    );
    expect(refused.stderr).toContain('npm install zstd-napi');
    expect(await listTree(dir)).toEqual({});
  });

  it('reads a snapshot of version 2 without large windows', async () => {
    const verified = await run('verify', path.join(snapshots, '7'), '--json');
    expect([verified.exitCode, verified.stderr]).toEqual([0, '']);
    const stateDir = path.join(await tempDir(), 'state');
    const restored = await run('restore', path.join(snapshots, '7'), '--state-dir', stateDir);
    expect(restored.exitCode).toBe(0);
  });

  it.each(['verify', 'restore'])(
    '%s refuses a large window, and says what to install',
    async (verb) => {
      const stateDir = path.join(await tempDir(), 'state');
      const to = verb === 'restore' ? ['--state-dir', stateDir] : [];
      const refused = await run(verb, path.join(snapshots, '8'), ...to);
      expect(refused.exitCode).toBe(2);
      expect(refused.stderr).toContain('the zstd library here cannot read this chunk');
      const hints = refused.stderr.split('\n').filter((line) => line.includes('zstd-napi'));
      expect(hints.filter((line) => line.includes('npm install zstd-napi'))).toHaveLength(1);
    },
  );

  it('verifies the hashes of its files all the same', async () => {
    const quick = await run('verify', '--quick', path.join(snapshots, '8'));
    expect(quick.exitCode).toBe(0);
  });
});
