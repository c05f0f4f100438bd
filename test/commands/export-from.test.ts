/** `export --from`: any readable form becomes an export directory. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { dumpStore } from '../fixtures/dump-store.ts';
import {
  buildStore,
  closeReference,
  referenceExport,
  referenceImport,
} from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { richSpec } from '../fixtures/specs.ts';
import { storeItem, streamOf, writeChunks } from '../fixtures/state-sync/make-snapshot.ts';

const fixtures = fileURLToPath(new URL('../fixtures/state-sync/', import.meta.url));
const ARCHIVE = join(fixtures, 'format3', '1000-3.tar.gz');
const BAD_ARCHIVE = join(fixtures, 'bad-value', '1000-3.tar.gz');
const APP_HASH = '30f7c8ceedfecd75e25c0960db0c7e0706b2c9d6563f6ed1477e9de1a5bdc9d0';

const tempDir = useTempDir();
const fileDir = useTempDir('file');
let base: string;

const swingsnap = async (...args: readonly string[]) => {
  const { json, exitCode, stderr } = await runCli([...args, '--json']);
  return { ...(json as Record<string, unknown>), exitCode, stderr };
};

/** The files of an export directory, without the record of the operation that made it. */
async function filesOf(dir: string) {
  const { '.swingsnap-operation.json': _, ...files } = await listTree(dir);
  return files;
}

beforeAll(async () => {
  base = await fileDir();
  await buildStore(join(base, 'S'), richSpec);
  await mkdir(join(base, 'archival'));
  await referenceExport(join(base, 'S'), join(base, 'archival'), { artifactMode: 'archival' });
  await mkdir(join(base, 'operational'));
  await referenceExport(join(base, 'S'), join(base, 'operational'), {
    artifactMode: 'operational',
  });
  const from = ['--state-dir', join(base, 'S'), '--artifact-mode', 'archival'];
  await swingsnap('retrieve', '--create', ...from, '--snapshot-dir', join(base, 'D'));
});
afterAll(closeReference);

describe('export --from', () => {
  it('writes from a state-sync snapshot what the reference exported, and the reference imports it', async () => {
    const dir = await tempDir();
    const E = join(dir, 'E');
    expect(
      await swingsnap('export', '--from', ARCHIVE, '--app-hash', APP_HASH, '--export-dir', E),
    ).toMatchObject({
      exitCode: 0,
      form: 'state-sync snapshot',
      height: 1000,
      artifactMode: 'operational',
      appHash: { isProved: true },
    });
    expect(await filesOf(E)).toEqual(await listTree(join(fixtures, 'export')));
    await referenceImport(E, join(dir, 'ours'));
    await referenceImport(join(fixtures, 'export'), join(dir, 'theirs'));
    expect(await dumpStore(join(dir, 'ours'))).toEqual(await dumpStore(join(dir, 'theirs')));
  });

  it('writes all of a snapshot or an export directory, or less if a smaller mode is requested', async () => {
    const dir = await tempDir();
    for (const [name, source] of [
      ['D', join(base, 'D')],
      ['archival', join(base, 'archival')],
    ] as const) {
      const all = join(dir, `${name}-all`);
      expect(await swingsnap('export', '--from', source, '--export-dir', all)).toMatchObject({
        exitCode: 0,
        artifactMode: 'archival',
      });
      const { files } = await dumped(all);
      expect(files).toEqual((await dumped(join(base, 'archival'))).files);
      const less = join(dir, `${name}-less`);
      const mode = ['--artifact-mode', 'operational'];
      expect(
        await swingsnap('export', '--from', source, '--export-dir', less, ...mode),
      ).toMatchObject({ exitCode: 0, artifactMode: 'operational' });
      expect((await dumped(less)).files).toEqual((await dumped(join(base, 'operational'))).files);
      await referenceImport(less, join(dir, `${name}-S`));
    }
  });

  it('fails if it must be proved and is not, as retrieve does', async () => {
    const dir = await tempDir();
    const source = join(base, 'archival');
    const { hashes } = (await swingsnap('verify', source)) as unknown as {
      readonly hashes: { readonly contentHash: string };
    };
    const commands = [
      ['export', '--from', source, '--export-dir', join(dir, 'E')],
      ['retrieve', '--create', '--from', source, '--snapshot-dir', join(dir, 'D')],
      ['retrieve', '--create', '--export-dir', source, '--snapshot-dir', join(dir, 'D2')],
    ];
    for (const command of commands) {
      const proof = ['--require-proof', '--expect'];
      expect(await swingsnap(...command, '--require-proof')).toMatchObject({
        exitCode: 2,
        error: { code: 'NO_PROOF' },
      });
      expect(await swingsnap(...command, ...proof, '0'.repeat(64))).toMatchObject({
        exitCode: 3,
        error: { code: 'HASH_MISMATCH', expected: '0'.repeat(64), found: hashes.contentHash },
      });
      expect(await readdir(dir)).not.toContain(command.at(-1)?.split('/').at(-1));
      expect(await swingsnap(...command, ...proof, hashes.contentHash)).toMatchObject({
        exitCode: 0,
        heightProved: true,
      });
    }
  });

  it('writes nothing on any failure, and leaves the directory as it was', async () => {
    const dir = await tempDir();
    const E = join(dir, 'E');
    const bad = ['--from', BAD_ARCHIVE, '--app-hash', APP_HASH];
    expect(await swingsnap('export', ...bad, '--export-dir', E)).toMatchObject({
      exitCode: 3,
      error: { code: 'APP_HASH' },
    });
    const damaged = join(dir, 'damaged');
    await cp(join(base, 'archival'), damaged, { recursive: true });
    const names = (await readdir(damaged)).filter((name) => name.startsWith('bundle.'));
    await writeFile(join(damaged, names.at(-1)!), 'something else');
    await mkdir(E);
    expect(await swingsnap('export', '--from', damaged, '--export-dir', E)).toMatchObject({
      exitCode: 3,
      error: {
        path: `${damaged}: ${names.at(-1) ?? ''}`,
        hint: 'do not use it: get another copy of this export, or make it again',
      },
    });
    expect(await readdir(E)).toEqual([]);
    const more = ['--from', join(base, 'operational'), '--artifact-mode', 'archival'];
    expect(await swingsnap('export', ...more, '--export-dir', E)).toMatchObject({
      exitCode: 1,
      error: { code: 'MODE' },
    });
    const chain = await writeChunks(dir, 12, 3, [streamOf([storeItem('bank')])]);
    expect(await swingsnap('export', '--from', chain, '--export-dir', E)).toMatchObject({
      exitCode: 3,
      error: { code: 'NO_EXPORT_DATA' },
    });
    expect(await readdir(E)).toEqual([]);
    await writeFile(join(E, 'mine'), '');
    expect(await swingsnap('export', '--from', ARCHIVE, '--export-dir', E)).toMatchObject({
      exitCode: 1,
      error: { code: 'EXPORT_DIR' },
    });
    expect(await readdir(E)).toEqual(['mine']);
  });

  it('makes an export like any other: retrieve packs and removes it, and a dead one is replaced', async () => {
    const dir = await tempDir();
    const E = join(dir, 'E');
    await swingsnap('export', '--from', ARCHIVE, '--export-dir', E);
    expect(await swingsnap('status', '--export-dir', E)).toMatchObject({ state: 'done' });
    // The state after a kill: a journal, and a record of an operation in progress.
    const record = await readFile(join(E, '.swingsnap-operation.json'), 'utf8');
    await rm(join(E, 'export-manifest.json'));
    await writeFile(join(E, '.swingsnap-operation.json'), record.replace('"done"', '"started"'));
    const names = (await readdir(E)).filter((name) => !name.startsWith('.'));
    await writeFile(join(E, '.swingsnap-files'), names.map((name) => `${name}\n`).join(''));
    expect(await swingsnap('export', '--from', ARCHIVE, '--export-dir', E)).toMatchObject({
      exitCode: 0,
    });
    const D = join(dir, 'D');
    expect(
      await swingsnap('retrieve', '--create', '--export-dir', E, '--snapshot-dir', D),
    ).toMatchObject({
      exitCode: 0,
      removed: { left: [] },
    });
    expect(await readdir(dir)).toEqual(['D']);
  });

  it.each([
    [['--home', 'h']],
    [['--state-dir', 's']],
    [['--detach']],
    [['--at-height', '7']],
    [['--every', '7']],
    [['--max-time', '7s']],
    [['--export-data-mode', 'skip']],
  ])('refuses %j, which applies to a store', async (flags) => {
    const dir = await tempDir();
    const to = ['--export-dir', join(dir, 'E')];
    expect(await swingsnap('export', '--from', ARCHIVE, ...to, ...flags)).toMatchObject({
      exitCode: 2,
    });
    expect(await readdir(dir)).toEqual([]);
  });

  it('creates nothing under --check', async () => {
    const dir = await tempDir();
    const to = ['--export-dir', join(dir, 'E')];
    expect(await swingsnap('export', '--from', ARCHIVE, ...to, '--check')).toMatchObject({
      exitCode: 0,
    });
    const inside = ['--export-dir', join(base, 'operational', 'E')];
    expect(
      await swingsnap('export', '--from', join(base, 'operational'), ...inside, '--check'),
    ).toMatchObject({ exitCode: 2, error: { code: 'EXPORT_DIR' } });
    expect(
      await swingsnap('export', '--from', ARCHIVE, ...to, '--height', '7', '--check'),
    ).toMatchObject({ exitCode: 5, error: { code: 'HEIGHT' } });
    expect(await swingsnap('export', '--app-hash', APP_HASH, ...to)).toMatchObject({ exitCode: 2 });
    expect(await readdir(dir)).toEqual([]);
  });
});

/** The files of an export directory, and what its manifest lists, in any order. */
async function dumped(dir: string) {
  const { 'export-manifest.json': _, ...files } = await filesOf(dir);
  const manifest = JSON.parse(await readFile(join(dir, 'export-manifest.json'), 'utf8')) as {
    artifacts: [string, string][];
  };
  expect(manifest.artifacts.map(([name]) => name).sort()).toEqual(
    Object.keys(files)
      .filter((name) => name !== 'export-data.jsonl')
      .sort(),
  );
  return { files };
}
