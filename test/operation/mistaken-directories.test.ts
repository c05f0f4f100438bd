import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import { retrieve, type RetrieveOptions } from '../../src/operation/retrieve/retrieve.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

describe('directories that are not what their names say', () => {
  const fileDir = useTempDir('file');
  const tempDir = useTempDir();
  let S: string;

  beforeAll(async () => {
    S = join(await fileDir(), 'S');
    await buildStore(S, tinySpec);
  });
  afterAll(closeReference);

  const retrieveInto = (snapshotDir: string, more: Partial<RetrieveOptions> = {}) =>
    retrieve({
      source: { stateDir: S, artifactMode: 'operational' },
      snapshotDir,
      create: true,
      replace: false,
      madeBy: 'test',
      progress: noProgress,
      ...more,
    });

  it('are neither counted as snapshots nor removed by --keep-last', async () => {
    const D = await tempDir();
    await mkdir(join(D, '2024', 'photos'), { recursive: true });
    await writeFile(join(D, '2024', 'photos', 'a.jpg'), 'a');
    await mkdir(join(D, '999999999'));
    const { removedHeights, manifest } = await retrieveInto(D, { keepLast: 1 });
    expect(removedHeights).toEqual([]);
    expect(Object.keys(await listTree(D))).toEqual(
      expect.arrayContaining(['2024/photos/a.jpg', '999999999', String(manifest.height)]),
    );
  });

  it('are not replaced by a snapshot that may replace another snapshot', async () => {
    const D = await tempDir();
    const { manifest } = await retrieveInto(join(D, 'other'));
    const there = join(D, String(manifest.height));
    await mkdir(there);
    await writeFile(join(there, 'a.jpg'), 'a');
    await expect(retrieveInto(D, { replace: true })).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
    });
    expect(Object.keys(await listTree(there))).toEqual(['a.jpg']);
  });

  it('do not block verify if a file in them is a pipe', async () => {
    const E = await tempDir();
    await referenceExport(S, E);
    await rm(join(E, 'export-data.jsonl'));
    execFileSync('mkfifo', [join(E, 'export-data.jsonl')]);
    await expect(verify({ source: E, progress: noProgress })).rejects.toMatchObject({
      code: 'MISSING_FILE',
      exitCode: 3,
    });
  });

  it.each([
    ['verify', ['verify', 'E'], 'export-manifest.json', 'MANIFEST', 3],
    [
      'retrieve',
      ['retrieve', '--create', '--export-dir', 'E', '--snapshot-dir', 'D'],
      'export-manifest.json',
      'MANIFEST',
      3,
    ],
    ['discard', ['discard', '--export-dir', 'E'], 'export-manifest.json', 'MANIFEST', 3],
    [
      'export',
      ['export', '--state-dir', 'E', '--export-dir', 'X'],
      'swingstore.sqlite',
      'STORE_MISSING',
      5,
    ],
    ['verify of one', ['verify', 'E/pipe'], 'pipe', 'NO_SNAPSHOT', 5],
  ] as const)('do not block %s, which names a pipe', async (_, args, name, code, exitCode) => {
    const cwd = await tempDir();
    await mkdir(join(cwd, 'E'));
    execFileSync('mkfifo', [join(cwd, 'E', name)]);
    const signal = AbortSignal.timeout(20_000);
    expect(await runCli([...args, '--json'], { cwd, signal })).toMatchObject({
      ...{ exitCode, signal: null },
      json: { error: { code, path: join(cwd, 'E', name), found: 'a pipe' } },
    });
  });

  it('are reported as a removed export if the manifest disappears during the read', async () => {
    const E = await tempDir();
    await referenceExport(S, E);
    const progress = {
      ...noProgress,
      phase: (name: string) => {
        if (name === 'artifacts') execFileSync('rm', ['-rf', E]);
      },
    };
    await expect(verify({ source: E, progress })).rejects.toMatchObject({
      code: 'EXPORT_GONE',
      exitCode: 5,
    });
    expect(existsSync(E)).toBe(false);
  });

  it('are also found by status through the environment', async () => {
    const E = await tempDir();
    await referenceExport(S, E);
    const { json, exitCode } = await runCli(['status', '--json'], {
      env: { SWINGSNAP_EXPORT_DIR: E, AGORIC_HOME: join(E, 'nowhere') },
    });
    expect({ json, exitCode }).toMatchObject({
      exitCode: 0,
      json: { state: 'none', exportDir: E },
    });
  });

  it('are not made by an export with --timeout but no height to wait for', async () => {
    const E = join(await tempDir(), 'E');
    const args = ['export', '--state-dir', S, '--export-dir', E, '--timeout', '1s'];
    const { stderr, exitCode } = await runCli(args);
    expect({ stderr, exitCode }).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('--timeout') as string,
    });
    expect(existsSync(E)).toBe(false);
  });
});
