/** Files of one user that a command of another makes: the node's user must be able to go on with all of them. */
import { createHash } from 'node:crypto';
import { chmod, chown, cp, lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir, visibleIn } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { ALICE, commitAs, runAs, swingsnapAs, swingsnapWords } from './other-users.ts';

/** A user with a passwd entry on every system, who makes backups. */
const BACKUP = 65_534;

const fileDir = useTempDir('file');
let stores: string;

beforeAll(async () => {
  stores = await fileDir();
  await buildStore(join(stores, 'closed'), tinySpec);
  await buildStore(join(stores, 'last-commit'), { ...tinySpec, leaveWal: 'last-commit' });
  for (const height of [1000, 1001, 1002]) {
    const generatedKeys = [{ count: 300, valueBytes: 300, seed: 1 }];
    await buildStore(join(stores, `${height}`), { ...tinySpec, height, generatedKeys });
    for (const name of ['', 'swingstore.sqlite']) {
      await chown(join(stores, `${height}`, name), BACKUP, BACKUP);
    }
  }
  await chmod(stores, 0o755);
});
afterAll(closeReference);

/** A home of Alice's with her store, in which the user who makes backups may make files, and a place for these. */
async function place(kind: 'closed' | 'last-commit' = 'closed') {
  const dir = await fileDir();
  await chmod(dir, 0o755);
  const [home, out] = [join(dir, 'home'), join(dir, 'out')];
  const S = join(home, 'data', 'agoric');
  await mkdir(join(home, 'data'), { recursive: true });
  await cp(join(stores, kind), S, { recursive: true });
  // As in a copy of a store: the -shm is no part of it.
  await rm(join(S, 'swingstore.sqlite-shm'), { force: true });
  await mkdir(out);
  await chown(out, BACKUP, BACKUP);
  for (const name of ['', ...(await readdir(home, { recursive: true }))]) {
    await chown(join(home, name), ALICE, ALICE);
  }
  await chmod(S, 0o777);
  return { S, home, out };
}

const commands: Record<string, (at: { S: string; home: string; out: string }) => string[]> = {
  export: ({ S, out }) => ['export', '--state-dir', S, '--export-dir', join(out, 'E')],
  retrieve: ({ S, out }) => [
    'retrieve',
    '--create',
    '--state-dir',
    S,
    '--snapshot-dir',
    join(out, 'D'),
  ],
  'retrieve --check': ({ S, out }) => [
    'retrieve',
    '--create',
    '--state-dir',
    S,
    '--snapshot-dir',
    join(out, 'D'),
    '--check',
  ],
  verify: ({ home, out }) => ['verify', join(out, 'D'), '--home', home],
};

describe('a store at rest of another user', () => {
  it.each(['closed', 'last-commit'] as const)(
    'gets no side files that its owner cannot write (%s)',
    async (kind) => {
      const at = await place(kind);
      for (const [name, wordsOf] of Object.entries(commands)) {
        const before = (await readdir(at.S)).sort();
        const { exitCode, stdout } = await swingsnapAs(BACKUP, [...wordsOf(at), '--json']);
        const told = JSON.parse(stdout) as { notes: string[] };
        expect({ name, exitCode, notes: told.notes }).toEqual({
          name,
          exitCode: 0,
          notes: [
            expect.stringMatching(/belongs to another user.*: copying .*as its owner/u),
            ...(name === 'verify'
              ? [expect.stringMatching(/no data\/application.db/u) as string]
              : []),
          ],
        });
        expect({ name, files: (await readdir(at.S)).sort() }).toEqual({ name, files: before });
      }
      expect(await commitAs(ALICE, at.S, 1001)).toMatchObject({ exitCode: 0, stderr: '' });
    },
  );

  it('is read in place by root, who leaves side files of its owner', async () => {
    const at = await place();
    const { exitCode, stdout } = await swingsnapAs(0, [...commands['retrieve']!(at), '--json']);
    expect({ exitCode, ...(JSON.parse(stdout) as object) }).toMatchObject({
      exitCode: 0,
      notes: [],
    });
    for (const name of await readdir(at.S)) {
      expect({ name, uid: (await stat(join(at.S, name))).uid }).toEqual({ name, uid: ALICE });
    }
    expect(await commitAs(ALICE, at.S, 1001)).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('gets none from a root that may not change owners', async () => {
    const at = await place();
    const words = await swingsnapWords(...commands['retrieve']!(at), '--json');
    const { exitCode } = await runAs(0, ['setpriv', '--bounding-set=-chown', ...words]);
    expect(exitCode).toBe(0);
    expect(await readdir(at.S)).toEqual(['swingstore.sqlite']);
    expect(await commitAs(ALICE, at.S, 1001)).toMatchObject({ exitCode: 0, stderr: '' });
  });
});

/** Every file and directory below `dir`, and `dir` itself, with its owner and group. */
async function ownersIn(dir: string): Promise<Record<string, string>> {
  const owners: Record<string, string> = {};
  for (const name of ['', ...(await readdir(dir, { recursive: true }))]) {
    const { uid, gid } = await lstat(join(dir, name));
    owners[name] = `${uid}:${gid}`;
  }
  return owners;
}

/** A snapshot with all kinds of modules, and a home that has only what the node's user made before. */
async function snapshotAndHome(owner: number, group: number) {
  const dir = await fileDir();
  await chmod(dir, 0o755);
  const at = (...names: string[]): string => join(dir, ...names);
  await cp(join(stores, 'closed'), at('S'), { recursive: true });
  const code = Buffer.from('\0asm\x01\0\0\0');
  await mkdir(at('wasm'));
  await writeFile(at('wasm', createHash('sha256').update(code).digest('hex')), code);
  await mkdir(at('tree', 'inner'), { recursive: true });
  await writeFile(at('tree', 'inner', 'file'), 'content');
  const read = ['--module', `wasm=wasm:${at('wasm')}`, '--module', `more=files:${at('tree')}`];
  const made = await swingsnapAs(0, [
    ...['retrieve', '--create', '--state-dir', at('S'), '--snapshot-dir', at('D'), '--json'],
    ...read,
  ]);
  expect(made).toMatchObject({ exitCode: 0 });
  await mkdir(at('home', 'data'), { recursive: true });
  for (const name of ['', 'data']) await chown(at('home', name), owner, group);
  return { source: at('D'), home: at('home'), stateDir: at('home', 'data', 'agoric') };
}

describe('what root restores', () => {
  it.each([
    ['user', ALICE],
    ['group alone', 0],
  ])("belongs to the node's %s in all modules, and the output says so", async (_, owner) => {
    const { source, home, stateDir } = await snapshotAndHome(owner, ALICE);
    const args = ['restore', source, '--home', home];
    const more = ['--module', `more=files:${join(home, 'more')}`];
    const { exitCode, stdout } = await swingsnapAs(0, [...args, ...more]);
    expect(exitCode).toBe(0);
    const who = `user ${owner}, group ${ALICE}`;
    expect(stdout).toContain(`\n  owner        ${who}: wasm, more, swingset\n`);
    const owners = await ownersIn(home);
    expect(Object.keys(owners).filter((name) => name.includes('wasm'))).not.toEqual([]);
    expect(new Set(Object.values(owners))).toEqual(new Set([`${owner}:${ALICE}`]));
    if (owner === ALICE) {
      expect(await commitAs(ALICE, stateDir, 1001)).toMatchObject({ exitCode: 0, stderr: '' });
    }
    const again = await swingsnapAs(0, [...args, ...more, '--replace', '--json']);
    const { modules } = JSON.parse(again.stdout) as { modules: { owner: unknown }[] };
    expect(modules.map((module) => module.owner)).toEqual(
      Array.from({ length: 3 }, () => ({ uid: owner, gid: ALICE })),
    );
    expect(new Set(Object.values(await ownersIn(home)))).toEqual(new Set([`${owner}:${ALICE}`]));
  });
});

/** A snapshot dir of the user who makes backups, and what makes a backup in it. */
async function snapshotDir() {
  const dir = await fileDir();
  await chmod(dir, 0o755);
  const [D, state] = [join(dir, 'D'), join(dir, 'state')];
  for (const made of [D, state]) {
    await mkdir(made, { mode: 0o700 });
    await chown(made, BACKUP, BACKUP);
  }
  const backUp = async (height: number, ...more: string[]) => {
    const args = [
      '--state-dir',
      join(stores, `${height}`),
      '--snapshot-dir',
      D,
      '--create',
      ...more,
    ];
    const env = { SWINGSNAP_STATE_DIR: state };
    return swingsnapAs(BACKUP, ['retrieve', ...args, '--json'], { env });
  };
  return { D, backUp };
}

describe('an older height of another user', () => {
  const parts: Record<string, (height: string) => Promise<string[]>> = {
    'its directory': async (height) => [height],
    'its manifest': async (height) => [join(height, 'manifest.json')],
    'its list': async (height) => [join(height, 'entries.jsonl.zst')],
    'the directory of its chunks': async (height) => [join(height, 'chunks')],
    'all of its chunks': async (height) =>
      (await readdir(join(height, 'chunks'))).map((name) => join(height, 'chunks', name)),
  };

  it.each(Object.keys(parts).flatMap((part) => [BACKUP, 0].map((owner) => [part, owner] as const)))(
    'is noted, neither reused nor counted, and stops no backup, if this user cannot read %s (user %i)',
    async (part, owner) => {
      const { D, backUp } = await snapshotDir();
      // Each with chunks of its own.
      for (const height of [1000, 1001]) {
        expect(await backUp(height, '--no-reuse')).toMatchObject({ exitCode: 0 });
      }
      for (const path of (await parts[part]?.(join(D, '1001'))) ?? []) {
        await chown(path, owner, owner);
        await chmod(path, 0);
      }
      const { exitCode, stdout, stderr } = await backUp(1002, '--keep-last', '2');
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      const told = JSON.parse(stdout) as { notes: string[]; removedHeights: number[] };
      expect(told.removedHeights).toEqual([]);
      expect(told.notes).toEqual([
        expect.stringMatching(/1001(: EACCES| is not whole)/u),
        expect.stringMatching(/1001 is not counted, and is kept: EACCES/u),
      ]);
      expect(await visibleIn(D)).toEqual(['1000', '1001', '1002']);
      expect(await swingsnapAs(BACKUP, ['verify', join(D, '1002')])).toMatchObject({ exitCode: 0 });
    },
  );

  it('is noted, and stops no backup, if this user cannot remove it', async () => {
    const { D, backUp } = await snapshotDir();
    for (const height of [1000, 1001]) expect(await backUp(height)).toMatchObject({ exitCode: 0 });
    await chown(join(D, '1000'), 0, 0);
    const { exitCode, stdout, stderr } = await backUp(1002, '--keep-last', '2');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      removedHeights: [],
      notes: [expect.stringMatching(/1000 is not removed: (EACCES|EPERM)/u)],
    });
    expect(await visibleIn(D)).toEqual(['1000', '1001', '1002']);
  });
});
