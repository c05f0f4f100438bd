/** What `discard` and a finished `retrieve` remove, and what they leave. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const fileDir = useTempDir('file');
const RECORD = '.swingsnap-operation.json';
const MANIFEST = 'export-manifest.json';

/** Contains `ours` and `theirs`, the same export made by us and by the reference. */
let base: string;

beforeAll(async () => {
  base = await fileDir();
  await buildStore(join(base, 'store'), tinySpec);
  await cp(join(base, 'store'), join(base, 'judged'), { recursive: true });
  await mkdir(join(base, 'theirs'));
  await referenceExport(join(base, 'judged'), join(base, 'theirs'), {
    artifactMode: 'operational',
  });
  await runCli(['export', '--state-dir', join(base, 'store'), '--export-dir', join(base, 'ours')]);
});
afterAll(closeReference);

interface Told {
  readonly files: number;
  readonly gone: boolean;
  readonly left: readonly string[];
  readonly removed?: { readonly files: number; readonly left: readonly string[] };
  readonly error?: { code: string; path?: string; hint?: string };
}

async function told(...args: string[]) {
  const { exitCode, stderr, json } = await runCli([...args, '--json']);
  return { exitCode, stderr, ...(json as Told) };
}

/** A copy of one of the two exports, in its own directory. */
async function place(whose: 'ours' | 'theirs') {
  const dir = await fileDir();
  const E = join(dir, 'E');
  await cp(join(base, whose), E, { recursive: true });
  return { dir, E };
}

async function nameInManifest(E: string, file: string): Promise<void> {
  const path = join(E, MANIFEST);
  const manifest = JSON.parse(await readFile(path, 'utf8')) as { artifacts: string[][] };
  manifest.artifacts.unshift(['bundle.b1-x', file]);
  await writeFile(path, JSON.stringify(manifest));
}

describe.concurrent('discard', () => {
  it.each(['ours', 'theirs'] as const)(
    'removes an export and its directory, and succeeds when run again: %s',
    async (whose) => {
      const { dir, E } = await place(whose);
      const files = Object.keys(await listTree(E)).length;
      expect(await told('discard', '--export-dir', E)).toMatchObject({
        exitCode: 0,
        files,
        gone: true,
        left: [],
      });
      expect(await listTree(dir)).toEqual({});
      expect(await told('discard', '--export-dir', E)).toMatchObject({
        exitCode: 0,
        files: 0,
        gone: true,
      });
    },
  );

  it('leaves and names files that are not part of the export, and the content of directories', async () => {
    const { E } = await place('ours');
    await writeFile(join(E, 'strange'), 'mine');
    await mkdir(join(E, 'sub'));
    await writeFile(join(E, 'sub', 'bundle.b1-x'), 'mine');
    const { stdout, exitCode } = await runCli(['discard', '--export-dir', E]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/left.*strange, sub/u);
    expect(Object.keys(await listTree(E))).toEqual(['strange', 'sub', 'sub/bundle.b1-x']);
    expect(await told('discard', '--export-dir', E)).toMatchObject({
      exitCode: 1,
      error: { code: 'NOT_AN_EXPORT' },
    });
  });

  it('removes the rest of an export of which only our record is left', async () => {
    const { dir, E } = await place('ours');
    for (const name of await readdir(E)) if (name !== RECORD) await rm(join(E, name));
    expect(await told('discard', '--export-dir', E)).toMatchObject({ exitCode: 0, gone: true });
    expect(await listTree(dir)).toEqual({});
  });

  it('refuses a directory that is not an export, a snapshot, a state dir and a file', async () => {
    const dir = await fileDir();
    await mkdir(join(dir, 'empty'));
    await writeFile(join(dir, 'file'), '');
    await cp(join(base, 'judged'), join(dir, 'S'), { recursive: true });
    await told(
      'retrieve',
      '--create',
      '--export-dir',
      join(base, 'theirs'),
      '--snapshot-dir',
      join(dir, 'D'),
    );
    const before = await listTree(dir);
    for (const name of ['empty', 'file', 'S', 'D', 'D/1000']) {
      const { exitCode, error } = await told('discard', '--export-dir', join(dir, name));
      expect({ name, exitCode }).toEqual({ name, exitCode: name === 'file' ? 2 : 1 });
      expect(error).toMatchObject({ path: join(dir, name), hint: expect.any(String) as string });
    }
    expect(await listTree(dir)).toEqual(before);
  });

  it.each([
    '../victim',
    '../../victim',
    'sub/../../victim',
    'link/victim',
    'ABSOLUTE',
    '..',
    '.',
    '',
    'nul\u0000',
  ])('deletes nothing outside the directory, whatever the manifest names: %j', async (name) => {
    const { dir, E } = await place('theirs');
    await mkdir(join(dir, 'outside'));
    await writeFile(join(dir, 'outside', 'victim'), 'mine');
    await writeFile(join(dir, 'victim'), 'mine');
    await symlink(join(dir, 'outside'), join(E, 'link'));
    await nameInManifest(E, name === 'ABSOLUTE' ? join(dir, 'victim') : name);
    await told('discard', '--export-dir', E);
    expect(await readFile(join(dir, 'victim'), 'utf8')).toBe('mine');
    expect(await readFile(join(dir, 'outside', 'victim'), 'utf8')).toBe('mine');
  });

  it('removes a symlink that the manifest names, but not its target', async () => {
    const { dir, E } = await place('theirs');
    await writeFile(join(dir, 'victim'), 'mine');
    await symlink(join(dir, 'victim'), join(E, 'named'));
    await nameInManifest(E, 'named');
    expect(await told('discard', '--export-dir', E)).toMatchObject({ exitCode: 0, gone: true });
    expect(await readFile(join(dir, 'victim'), 'utf8')).toBe('mine');
  });
});

describe.concurrent('retrieve of an export directory', () => {
  const retrieve = (E: string, ...more: string[]) =>
    told('retrieve', '--create', '--export-dir', E, '--snapshot-dir', join(E, '..', 'D'), ...more);

  it.each([
    ['ours', [], false],
    ['ours', ['--keep-export'], true],
    ['ours', ['--delete-export'], false],
    ['theirs', [], true],
    ['theirs', ['--keep-export'], true],
    ['theirs', ['--delete-export'], false],
  ] as const)('of %s with %j keeps it: %s', async (whose, flags, kept) => {
    const { E } = await place(whose);
    const before = await listTree(E);
    const { exitCode, removed } = await retrieve(E, ...flags);
    expect(exitCode).toBe(0);
    expect(await listTree(E)).toEqual(kept ? before : {});
    expect(existsSync(E)).toBe(kept);
    expect(removed).toEqual(kept ? undefined : { files: Object.keys(before).length, left: [] });
  });

  it('leaves and names files that are not part of the export', async () => {
    const { E } = await place('ours');
    await writeFile(join(E, 'strange'), 'mine');
    expect((await retrieve(E)).removed).toMatchObject({ left: ['strange'] });
    expect(Object.keys(await listTree(E))).toEqual(['strange']);
  });

  it('keeps the export and publishes nothing if anything in it is wrong', async () => {
    const { dir, E } = await place('ours');
    const name = (await readdir(E)).find((file) => file.startsWith('transcript.')) ?? '';
    await writeFile(join(E, name), 'x\n');
    const before = await listTree(E);
    expect(await retrieve(E)).toMatchObject({ exitCode: 3 });
    expect(await listTree(E)).toEqual(before);
    expect(Object.keys(await listTree(dir)).filter((file) => !file.startsWith('E'))).toEqual([]);
  });

  it('refuses a missing directory, and an export without export data', async () => {
    const { dir, E } = await place('theirs');
    const missing = await told(
      'retrieve',
      '--create',
      '--export-dir',
      join(dir, 'no'),
      '--snapshot-dir',
      join(dir, 'D'),
    );
    expect(missing).toMatchObject({ exitCode: 5, error: { code: 'NO_EXPORT' } });
    const manifest = JSON.parse(await readFile(join(E, MANIFEST), 'utf8')) as { data?: string };
    delete manifest.data;
    await writeFile(join(E, MANIFEST), JSON.stringify(manifest));
    expect(await retrieve(E)).toMatchObject({ exitCode: 3, error: { code: 'NO_EXPORT_DATA' } });
    expect(existsSync(join(dir, 'D'))).toBe(false);
  });
});
