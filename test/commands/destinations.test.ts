/** Where a command writes is what was named, and is there: no default, no new tree for a mistyped path. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli, type CliOptions, type CliResult } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { canMount, runIn } from './surroundings.ts';

const fileDir = useTempDir('file');
const tempDir = useTempDir();
/** A state dir, and a place of one height. */
let S: string;
let D: string;

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
});
afterAll(closeReference);

/** Runs the line with --check and without, which must both fail so, and change nothing below `dir`. */
async function refuses(
  dir: string,
  words: readonly string[],
  error: object,
  options: CliOptions = {},
): Promise<void> {
  const before = await listTree(dir);
  for (const more of [['--check'], []]) {
    const result = await runCli([...words, '--json', ...more], options);
    expect(result).toMatchObject({ json: { error } });
  }
  expect(await listTree(dir)).toEqual(before);
}

async function succeeds(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const checked = await runCli([...words, '--check'], options);
  expect(checked).toMatchObject({ exitCode: 0 });
  const done = await runCli(words, options);
  expect(done).toMatchObject({ exitCode: 0 });
  return checked;
}

describe('restore', () => {
  it('asks for a destination, and does not choose the default home', async () => {
    const HOME = await tempDir();
    await mkdir(join(HOME, '.agoric', 'data'), { recursive: true });
    const error = {
      code: 'USAGE',
      exitCode: 2,
      hint: expect.stringContaining(`swingsnap restore ${D} --home ~/.agoric`) as string,
    };
    await refuses(HOME, ['restore', D], error, { env: { HOME } });
    await refuses(HOME, ['restore', D], error, { env: { HOME, AGORIC_HOME: '' } });
  });

  it.each([['a flag'], ['the environment']])('takes the home of a node from %s', async (from) => {
    const home = join(await tempDir(), 'home');
    await mkdir(join(home, 'config'), { recursive: true });
    const { stdout } =
      from === 'a flag'
        ? await succeeds(['restore', D, '--home', home])
        : await succeeds(['restore', D], { env: { AGORIC_HOME: home } });
    for (const dir of [join(home, 'data'), join(home, 'data', 'agoric')]) {
      expect(stdout).toContain(`    will make ${dir}\n`);
    }
    expect(await readdir(join(home, 'data', 'agoric'))).toEqual(['swingstore.sqlite']);
  });

  it('refuses a home that is not there, or that is none', async () => {
    const dir = await tempDir();
    const refused = async (home: string, found: string): Promise<void> => {
      const error = { code: 'HOME_MISSING', exitCode: 5, path: home, found };
      await refuses(dir, ['restore', D, '--home', home], error);
      await refuses(dir, ['restore', D], error, { env: { AGORIC_HOME: home } });
    };
    await refused(join(dir, 'hoem', '.agoric'), 'nothing');
    await mkdir(join(dir, 'documents', 'letters'), { recursive: true });
    await refused(join(dir, 'documents'), 'neither of them');
    await writeFile(join(dir, 'file'), '');
    await refused(join(dir, 'file'), 'neither of them');
  });

  it('refuses a state dir or a place of a module without a directory above it', async () => {
    const dir = await tempDir();
    const above = join(dir, 'mistyped');
    const error = {
      code: 'PARENT_MISSING',
      exitCode: 5,
      path: above,
      hint: expect.stringContaining(`mkdir -p ${above}`) as string,
    };
    await refuses(dir, ['restore', D, '--state-dir', join(above, 'agoric')], error);
    const ibc = join(dir, 'ibc');
    const [E, modules] = [join(dir, 'E'), join(dir, 'modules')];
    await mkdir(ibc);
    await writeFile(join(ibc, 'a'), 'a');
    const module = ['--module', `ibc=files:${ibc}`];
    expect(
      await runCli([
        'retrieve',
        '--create',
        '--state-dir',
        S,
        '--snapshot-dir',
        modules,
        ...module,
      ]),
    ).toMatchObject({ exitCode: 0 });
    const elsewhere = ['--module', `ibc=files:${join(above, 'ibc')}`];
    await refuses(dir, ['restore', modules, '--state-dir', E, ...elsewhere], error);
    await succeeds([
      'restore',
      modules,
      '--state-dir',
      E,
      '--module',
      `ibc=files:${join(dir, 'n')}`,
    ]);
  });
});

describe('export', () => {
  it('refuses an export directory without a directory above it', async () => {
    const dir = await tempDir();
    const above = join(dir, 'mistyped');
    const error = { code: 'PARENT_MISSING', exitCode: 5, path: above };
    for (const source of [
      ['--state-dir', S],
      ['--from', D],
    ]) {
      await refuses(dir, ['export', ...source, '--export-dir', join(above, 'E')], error);
    }
    await refuses(
      dir,
      ['export', '--state-dir', S, '--export-dir', join(above, 'E'), '--detach'],
      error,
    );
  });

  it('is told by --check what it needs and makes', async () => {
    const E = join(await tempDir(), 'E');
    const { stdout } = await succeeds(['export', '--state-dir', S, '--export-dir', E]);
    expect(stdout).toMatch(/export directory is writable: \S+ \(.+ free, about .+ needed\)/u);
    expect(stdout).toContain(`    will make ${E}\n`);
  });
});

describe.runIf(canMount)('a disk of /etc/fstab that is not mounted', () => {
  const fstab = async (point: string): Promise<string> => {
    const file = join(await tempDir(), 'fstab');
    await writeFile(file, `# disks\nLABEL=backup\t${point}  ext4 noauto,nofail 0 2\n`);
    return `mount --bind ${file} /etc/fstab`;
  };

  it.each([
    ['export', (at: string) => ['--state-dir', S, '--export-dir', join(at, 'E')]],
    ['export', (at: string) => ['--from', D, '--export-dir', join(at, 'E')]],
    ['retrieve', (at: string) => ['--state-dir', S, '--snapshot-dir', join(at, 'D')]],
    ['restore', (at: string) => [D, '--state-dir', join(at, 'R')]],
    ['restore', (at: string) => [D, '--state-dir', `${at}-R`, '--scratch-dir', at]],
  ])('is not written below its mount point: %s', async (command, args) => {
    const dir = await tempDir();
    const point = join(dir, 'disk');
    await mkdir(point);
    const mounts = await fstab(point);
    for (const more of [['--check'], []]) {
      const result = await runIn({ mounts }, [command, ...args(point), '--json', ...more]);
      expect(result).toMatchObject({
        exitCode: 6,
        json: { error: { code: 'NOT_MOUNTED', hint: `mount it with: mount ${point}` } },
      });
    }
    expect(Object.keys(await listTree(dir))).toEqual(['disk']);
  });

  it('is written once it is mounted', async () => {
    const point = join(await tempDir(), 'disk');
    await mkdir(point);
    const mounts = `${await fstab(point)}\nmount -t tmpfs none ${point}`;
    const result = await runIn({ mounts }, ['restore', D, '--state-dir', join(point, 'R')]);
    expect(result).toMatchObject({ exitCode: 0 });
  });
});
