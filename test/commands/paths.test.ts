/** Paths that do not mean what they seem to: a literal `~`, links to nothing, directories that cannot be made. */
import { mkdir, readdir, readFile, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli, type CliResult } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const fileDir = useTempDir('file');
const tempDir = useTempDir();
/** A state dir, and a place of one height. */
let S: string;
let D: string;
let height: string;

beforeAll(async () => {
  const dir = await fileDir();
  [S, D] = [join(dir, 'S'), join(dir, 'D')];
  await buildStore(S, tinySpec);
  const { exitCode, stderr } = await runCli([
    'retrieve',
    '--create',
    '--state-dir',
    S,
    '--snapshot-dir',
    D,
  ]);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  height = (await readdir(D)).find((name) => !name.startsWith('.')) ?? '';
});
afterAll(closeReference);

const toNothing = async (path: string): Promise<string> => {
  await symlink('/nowhere/at/all', path);
  return path;
};

describe('a directory that cannot be made', () => {
  it.each([
    ['export', '--export-dir', '/proc/x'],
    ['export', '--export-dir', '/proc/x/y'],
    ['retrieve', '--snapshot-dir', '/proc/x'],
    ['retrieve', '--snapshot-dir', '/proc/x/y'],
  ])('is named at once, with exit code 6: %s %s %s', async (command, flag, path) => {
    const words = [command, '--state-dir', S, flag, path];
    for (const line of [words, [...words, '--check'], [...words, '--json']]) {
      const { exitCode, stderr, stdout } = await runCli(line, {
        signal: AbortSignal.timeout(20_000),
      });
      expect({ exitCode, text: stderr + stdout }).toMatchObject({
        exitCode: 6,
        text: expect.stringContaining('/proc') as string,
      });
    }
  });
});

describe('a literal ~', () => {
  const home = async (): Promise<string> => {
    const dir = await tempDir();
    await mkdir(join(dir, 'node', 'data'), { recursive: true });
    await symlink(S, join(dir, 'node', 'data', 'agoric'));
    await symlink(D, join(dir, 'snapshots'));
    return dir;
  };

  it('is the home in flags, SOURCE and environment alike', async () => {
    const HOME = await home();
    const cwd = await tempDir();
    const ok = async (words: string[], env: Record<string, string> = {}): Promise<void> => {
      const result = await runCli(words, { cwd, env: { HOME, ...env } });
      expect(result).toMatchObject({ exitCode: 0 });
    };
    await ok(['verify', '~/snapshots', '--quick']);
    await ok(['status', '--home=~/node']);
    await ok(['status'], { AGORIC_HOME: '~/node' });
    await ok(['retrieve', '--create', '--home=~/node', '--check'], {
      SWINGSNAP_SNAPSHOT_DIR: '~/snapshots',
      SWINGSNAP_SCRATCH_DIR: '~',
    });
    await ok(['export', '--home=~/node'], { SWINGSNAP_EXPORT_DIR: '~/export' });
    await ok(['retrieve', '--create', '--snapshot-dir=~/snapshots'], {
      SWINGSNAP_EXPORT_DIR: '~/export',
      SWINGSNAP_STATE_DIR: '~/state',
    });
    const module = ['--module', 'ibc=files:~/ibc', '--json'];
    expect(
      await runCli(
        ['retrieve', '--create', '--home=~/node', '--snapshot-dir=~/snapshots', ...module],
        {
          cwd,
          env: { HOME },
        },
      ),
    ).toMatchObject({ json: { error: { code: 'FILES_MISSING', path: join(HOME, 'ibc') } } });
    expect(await readdir(cwd)).toEqual([]);
  });

  it.each([
    [['verify', '~other/snapshots'], {}],
    [['status', '--home=~other'], {}],
    [['status'], { AGORIC_HOME: '~other/.agoric' }],
    [['discard'], { SWINGSNAP_EXPORT_DIR: '~other/export' }],
    [['retrieve', '--create', '--state-dir=S'], { SWINGSNAP_SNAPSHOT_DIR: '~other/snapshots' }],
    [['restore', 'D', '--state-dir=S', '--module', 'ibc=files:~other/ibc'], {}],
  ] as const)('of another user is refused: %j %j', async (words, env) => {
    const cwd = await tempDir();
    const { exitCode, stderr } = await runCli(words, { cwd, env });
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('~other') as string,
    });
    expect(await readdir(cwd)).toEqual([]);
  });
});

describe('a link to nothing', () => {
  const refused = (result: CliResult, path: string): void => {
    expect(result.json).toMatchObject({
      error: { code: 'LINK_TO_NOTHING', exitCode: 6, path, found: 'a link to /nowhere/at/all' },
    });
  };
  /** Runs the line with and without --check, which must say the same and change nothing. */
  const refuses = async (words: readonly string[], path: string): Promise<void> => {
    const dir = join(path, '..');
    const before = await listTree(dir);
    for (const more of [[], ['--check']])
      refused(await runCli([...words, '--json', ...more]), path);
    expect(await listTree(dir)).toEqual(before);
  };

  it('is named where something would be written', async () => {
    const dir = await tempDir();
    const link = await toNothing(join(dir, 'link'));
    await refuses(['retrieve', '--create', '--state-dir', S, '--snapshot-dir', link], link);
    await refuses(
      ['retrieve', '--create', '--state-dir', S, '--snapshot-dir', join(link, 'a')],
      link,
    );
    await refuses(['export', '--state-dir', S, '--export-dir', link], link);
    await refuses(['export', '--from', D, '--export-dir', link], link);
    await refuses(['restore', D, '--state-dir', link], link);
    await refuses(['restore', D, '--state-dir', join(dir, 'R'), '--scratch-dir', link], link);
  });

  it('is named where something would be read', async () => {
    const dir = await tempDir();
    const link = await toNothing(join(dir, 'link'));
    await refuses(['verify', link], link);
    await refuses(['verify', join(link, height)], link);
    await refuses(['restore', link, '--state-dir', join(dir, 'R')], link);
    await refuses(['retrieve', '--create', '--from', link, '--snapshot-dir', D], link);
    for (const line of [
      ['status', '--state-dir', link],
      ['discard', '--export-dir', link],
    ]) {
      refused(await runCli([...line, '--json']), link);
    }
  });

  it('is named where the home of a node has one for data/agoric', async () => {
    const home = await tempDir();
    await mkdir(join(home, 'data'));
    const link = await toNothing(join(home, 'data', 'agoric'));
    await refuses(['restore', D, '--home', home], link);
    await refuses(['export', '--home', home, '--export-dir', join(home, 'E')], link);
    await refuses(['retrieve', '--create', '--home', home, '--snapshot-dir', D], link);
  });

  it('is passed over in a list of heights, with a note', async () => {
    const dir = await tempDir();
    await rename(await toNothing(join(dir, 'link')), join(dir, '9000'));
    await symlink(join(D, height), join(dir, height));
    const { exitCode, json } = await runCli(['verify', dir, '--quick', '--json']);
    expect({ exitCode, json }).toMatchObject({
      exitCode: 0,
      json: {
        height: Number(height),
        notes: [`${join(dir, '9000')} is a link to nothing, and is passed over`],
      },
    });
    refused(await runCli(['verify', join(dir, '9000'), '--json']), join(dir, '9000'));
  });

  it('is passed over among the state-sync snapshots of a node', async () => {
    const dir = await tempDir();
    await toNothing(join(dir, '9000'));
    const { exitCode, json } = await runCli(['verify', dir, '--json']);
    expect({ exitCode, json }).toMatchObject({
      exitCode: 5,
      json: { error: { code: 'NO_SNAPSHOT' } },
    });
  });

  it('in the place of a height is not replaced', async () => {
    const place = await tempDir();
    await toNothing(join(place, height));
    const link = join(place, height);
    refused(
      await runCli([
        'retrieve',
        '--create',
        '--state-dir',
        S,
        '--snapshot-dir',
        place,
        '--replace',
        '--json',
      ]),
      link,
    );
    await expect(readFile(link)).rejects.toThrow('ENOENT');
    expect(await readdir(place)).toEqual([height]);
  });
});
