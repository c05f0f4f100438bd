/** Snapshot dirs: a new one must be asked for, and an old one is known by its mark or a whole snapshot. */
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const MARK = '.swingsnap.json';
const fileDir = useTempDir('file');
const tempDir = useTempDir();
/** The home of a node whose chain is known. */
let home: string;
/** A place as version 0.1.0 leaves it. */
let old: string;
let height: string;

beforeAll(async () => {
  const dir = await fileDir();
  [home, old] = [join(dir, 'home'), join(dir, 'old')];
  await buildStore(join(home, 'data', 'agoric'), tinySpec);
  await chain(home, 'agoric-3');
  const words = ['retrieve', '--create', '--home', home, '--snapshot-dir', old];
  expect(await runCli(words)).toMatchObject({ exitCode: 0 });
  await rm(join(old, MARK));
  [height = ''] = await readdir(old);
});
afterAll(closeReference);

async function chain(of: string, id: string): Promise<void> {
  await mkdir(join(of, 'config'), { recursive: true });
  const genesis = { genesis_time: '2021', chain_id: id, app_state: { ibc: { chain_id: 'other' } } };
  await writeFile(join(of, 'config', 'genesis.json'), JSON.stringify(genesis, undefined, 2));
}

const markOf = async (place: string): Promise<unknown> =>
  JSON.parse(await readFile(join(place, MARK), 'utf8'));

const to = (place: string, ...more: string[]): string[] => [
  ...['retrieve', '--home', home, '--snapshot-dir', place],
  ...more,
];

/** Both --check and the run fail so, and leave everything as it was. */
async function refuses(words: readonly string[], dir: string, error: object): Promise<void> {
  const before = await listTree(dir);
  for (const more of [['--check'], []]) {
    expect(await runCli([...words, ...more, '--json'])).toMatchObject({ json: { error } });
  }
  expect(await listTree(dir)).toEqual(before);
}

async function succeeds(words: readonly string[]): Promise<void> {
  for (const more of [['--check'], []]) {
    expect(await runCli([...words, ...more])).toMatchObject({ exitCode: 0 });
  }
}

describe('a new snapshot dir', () => {
  it('is made only with --create, and is marked with the chain of the home', async () => {
    const dir = await tempDir();
    const D = join(dir, 'D');
    const hint = expect.stringMatching(/mounted.*--create/u) as string;
    await refuses(to(D), dir, { code: 'NO_PLACE', exitCode: 6, path: D, found: 'nothing', hint });
    await succeeds(to(D, '--create'));
    expect((await readdir(D)).sort()).toEqual([MARK, height]);
    expect(await markOf(D)).toEqual({ format: 'swingsnap-place', version: 1, chainId: 'agoric-3' });
    await succeeds(to(D));
    await succeeds(to(D, '--create'));
  });

  it('is the last directory of a path at most', async () => {
    const dir = await tempDir();
    const error = { code: 'PARENT_MISSING', exitCode: 5, path: join(dir, 'a') };
    await refuses(to(join(dir, 'a', 'D'), '--create'), dir, error);
  });

  it('may be an empty directory, but only with --create: a disk may not be mounted', async () => {
    const D = await tempDir();
    const error = { code: 'NO_PLACE', exitCode: 6, found: 'an empty directory' };
    await refuses(to(D), D, error);
    await mkdir(join(D, 'lost+found'));
    await mkdir(join(D, '.Trash'));
    await refuses(to(D), D, error);
    await succeeds(to(D, '--create'));
  });

  it('is not a directory with other things, unless --create says so', async () => {
    const D = await tempDir();
    await mkdir(join(D, '2024'));
    await writeFile(join(D, 'letter'), '');
    const found = 'other things, and no whole snapshot';
    await refuses(to(D), D, { code: 'NO_PLACE', exitCode: 6, found });
    await succeeds(to(D, '--create'));
    expect((await readdir(D)).sort()).toEqual([MARK, '2024', height, 'letter'].sort());
  });

  it('is not left behind by a failed run', async () => {
    const dir = await tempDir();
    const words = to(join(dir, 'D'), '--create', '--height', '1');
    expect((await runCli(words)).exitCode).not.toBe(0);
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('an old snapshot dir', () => {
  it('of version 0.1.0 is known by a whole snapshot, and marked at the next write', async () => {
    const D = join(await tempDir(), 'D');
    await cp(old, D, { recursive: true });
    await rm(join(D, height, 'manifest.json'));
    await refuses(to(D), D, { code: 'NO_PLACE', exitCode: 6 });
    await cp(join(old, height, 'manifest.json'), join(D, height, 'manifest.json'));
    expect((await runCli(['verify', D, '--quick'])).exitCode).toBe(0);
    expect((await runCli(to(D, '--check'))).exitCode).toBe(0);
    expect(await readdir(D)).toEqual([height]);
    await succeeds(to(D));
    expect(await markOf(D)).toMatchObject({ chainId: 'agoric-3' });
  });

  it('may lose all of its snapshots, and be read without its mark', async () => {
    const D = join(await tempDir(), 'D');
    await succeeds(to(D, '--create'));
    await rm(join(D, height), { recursive: true });
    await succeeds(to(D));
    await rm(join(D, MARK));
    expect((await runCli(['verify', D])).exitCode).toBe(0);
  });

  it('takes no store of another chain, and learns the chain that it was not told', async () => {
    const dir = await tempDir();
    const [D, other] = [join(dir, 'D'), join(dir, 'other')];
    await cp(home, other, { recursive: true });
    await chain(other, 'agoric-emerynet-8');
    const state = join(dir, 'state');
    await symlink(join(home, 'data', 'agoric'), state);
    const unknown = ['retrieve', '--state-dir', state, '--snapshot-dir', D];
    await succeeds([...unknown, '--create']);
    expect(await markOf(D)).toEqual({ format: 'swingsnap-place', version: 1 });
    await writeFile(join(D, MARK), JSON.stringify({ ...Object(await markOf(D)), later: [1] }));
    await succeeds(to(D));
    expect(await markOf(D)).toMatchObject({ chainId: 'agoric-3', later: [1] });
    await succeeds(unknown);
    const words = ['retrieve', '--home', other, '--snapshot-dir', D, '--create'];
    const facts = { path: D, expected: 'agoric-3', found: 'agoric-emerynet-8' };
    await refuses(words, dir, { code: 'PLACE_CHAIN', exitCode: 6, ...facts });
  });

  it('knows the chain from the configuration of the client too', async () => {
    const dir = await tempDir();
    const [D, other] = [join(dir, 'D'), join(dir, 'other')];
    await cp(home, other, { recursive: true });
    await rm(join(other, 'config', 'genesis.json'));
    await writeFile(
      join(other, 'config', 'client.toml'),
      '# ID\nchain-id = "agoric-3"\nnode = "x"\n',
    );
    await succeeds(['retrieve', '--home', other, '--snapshot-dir', D, '--create']);
    expect(await markOf(D)).toMatchObject({ chainId: 'agoric-3' });
  });

  it.each([['{'], ['[]'], ['{"format":"swingsnap-place","version":2}']])(
    'with a mark that cannot be read is refused: %s',
    async (mark) => {
      const D = join(await tempDir(), 'D');
      await cp(old, D, { recursive: true });
      await writeFile(join(D, MARK), mark);
      await refuses(to(D), D, { code: 'PLACE_MARK', exitCode: 6, path: D });
    },
  );
});

describe('an archive', () => {
  const stores = fileURLToPath(
    new URL('../fixtures/state-sync/format2-memstore-trailing/12345678-2.tar.gz', import.meta.url),
  );
  const archive = (dir: string): string[] => [
    ...['retrieve', '--format', 'state-sync', '--stores-from', stores, '--from', stores],
    ...['--mem-store', 'mem_capability', '--snapshot-dir', dir],
  ];

  it('needs no --create, but a directory above its own', async () => {
    const dir = await tempDir();
    const error = { code: 'PARENT_MISSING', exitCode: 5, path: join(dir, 'a') };
    await refuses(archive(join(dir, 'a', 'archives')), dir, error);
    await refuses([...archive(dir), '--create'], dir, {
      exitCode: 2,
      message: expect.stringContaining('--create applies to a swingsnap snapshot') as string,
    });
    await succeeds(archive(join(dir, 'archives')));
    expect(await readdir(join(dir, 'archives'))).toEqual(['12345678-2.tar.gz']);
  });
});
