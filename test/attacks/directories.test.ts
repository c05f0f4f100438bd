/** Another user swaps links into a directory of his own while root works in it. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { listTree, useTempDir, visibleIn } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { ALICE, MALLORY, runAs, startAs, swingsnapAs, type Ended } from './other-users.ts';

const fileDir = useTempDir('file');
const ROOT = 0;
const TRIES = 2;
const DATABASE = 'swingstore.sqlite';

/**
 * Holds `store`, its export `E`, its snapshots `D/900` and `D/1000`, and `tree`, the state of their module. Root owns
 * everything.
 */
let base: string;

async function root(...args: string[]): Promise<Ended> {
  return swingsnapAs(ROOT, args, { env: { SWINGSNAP_STATE_DIR: join(base, 'state') } });
}

async function done(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await root(...args);
  expect(exitCode, stderr).toBe(0);
}

beforeAll(async () => {
  base = await fileDir();
  await chmod(base, 0o711);
  await buildStore(join(base, 'store'), tinySpec);
  await mkdir(join(base, 'tree', 'sub'), { recursive: true });
  await writeFile(join(base, 'tree', 'sub', 'file'), 'x');
  await cp(join(base, 'store'), join(base, 'older'), { recursive: true });
  const db = openDatabase(join(base, 'older', DATABASE));
  db.exec(`UPDATE kvStore SET value = '900' WHERE key = 'host.height'`);
  db.close();
  const D = ['--snapshot-dir', join(base, 'D')];
  await done('retrieve', '--create', '--state-dir', join(base, 'older'), ...D);
  const module = ['--module', `ibc=files:${join(base, 'tree')}`];
  await done('retrieve', '--create', '--state-dir', join(base, 'store'), ...D, ...module);
  await done('export', '--state-dir', join(base, 'store'), '--export-dir', join(base, 'E'));
});
afterAll(closeReference);

interface Scene {
  /** A directory of Mallory. */
  readonly theirs: string;
  /** A directory of root, which Mallory may enter but not write to. */
  readonly victim: string;
  readonly before: unknown;
}

async function owners(dir: string): Promise<unknown> {
  const found: Record<string, unknown> = { ...(await listTree(dir)) };
  for (const name of Object.keys(found)) {
    const { uid, gid } = await stat(join(dir, name));
    found[`owner of ${name}`] = `${uid}:${gid}`;
  }
  return found;
}

async function scene(): Promise<Scene> {
  const dir = await fileDir();
  await chmod(dir, 0o711);
  const [theirs, victim] = [join(dir, 'theirs'), join(dir, 'victim')];
  await mkdir(theirs);
  await chown(theirs, MALLORY, MALLORY);
  await mkdir(join(victim, 'new', 'chunks'), { recursive: true });
  await mkdir(join(victim, 'tree', 'sub'), { recursive: true });
  for (const name of ['.lock', DATABASE, 'new/chunks/a', 'tree/sub/file', 'file']) {
    await writeFile(join(victim, name), name === '.lock' ? '' : 'secret');
    await chmod(join(victim, name), 0o600);
  }
  return { theirs, victim, before: await owners(victim) };
}

type Exchange = 'link' | 'directory' | 'late directory';

/**
 * Replaces whatever appears in a directory under a hidden name, at once or at a later moment. The replacement is a link
 * to the victim, or a directory with links to what is in the victim.
 */
const EXCHANGE = `
  const fs = require('node:fs');
  const [dir, victim, how] = process.argv.slice(1);
  const due = new Map();
  process.stdout.write('ready');
  for (let n = 0; ; n += 1) {
    for (const name of fs.readdirSync(dir)) {
      if (!name.startsWith('.')) continue;
      const path = dir + '/' + name;
      if (!due.has(name)) due.set(name, performance.now() + (how.startsWith('late') ? Math.random() * 150 : 0));
      if (performance.now() < due.get(name)) continue;
      try {
        if (fs.lstatSync(path).isSymbolicLink()) continue;
        if (fs.lstatSync(path).uid === process.getuid()) continue;
        fs.renameSync(path, dir + '/moved-' + process.pid + '-' + n);
        if (how === 'link') fs.symlinkSync(victim, path);
        else {
          fs.mkdirSync(path);
          for (const inside of fs.readdirSync(victim)) fs.symlinkSync(victim + '/' + inside, path + '/' + inside);
        }
      } catch {}
    }
  }`;

async function exchanging<Result>(
  { theirs, victim }: Pick<Scene, 'theirs' | 'victim'>,
  how: Exchange,
  work: () => Promise<Result>,
): Promise<Result> {
  await chmod(victim, 0o755);
  const words = [process.execPath, '-e', EXCHANGE, theirs, victim, how];
  const attacker = startAs(MALLORY, words);
  const closed = once(attacker, 'close');
  await once(attacker.stdout!, 'data');
  try {
    return await work();
  } finally {
    attacker.kill('SIGKILL');
    await closed;
    await chmod(victim, 0o755);
  }
}

describe('no file of root is removed, changed or given away', () => {
  const restores = (theirs: string): readonly string[][] => [
    ['restore', join(base, 'D'), '--state-dir', theirs],
    ['restore', join(base, 'E'), '--state-dir', theirs, '--replace', '--paranoid'],
    [
      'restore',
      ...[join(base, 'D'), '--state-dir', join(base, 'new'), '--replace'],
      ...['--module', `ibc=files:${join(theirs, 'tree')}`],
    ],
  ];
  const retrieves = (theirs: string): readonly string[][] => [
    [
      'retrieve',
      '--create',
      '--state-dir',
      join(base, 'store'),
      '--snapshot-dir',
      theirs,
      '--keep-last',
      '1',
    ],
    [
      'retrieve',
      '--create',
      '--state-dir',
      join(base, 'store'),
      '--snapshot-dir',
      theirs,
      '--replace',
    ],
    [
      'retrieve',
      '--create',
      '--state-dir',
      join(base, 'older'),
      '--snapshot-dir',
      theirs,
      '--keep-last',
      '1',
    ],
  ];

  it.each([
    ['a restore', 'link', restores],
    ['a restore', 'directory', restores],
    ['a restore', 'late directory', restores],
    ['a retrieve', 'link', retrieves],
    ['a retrieve', 'directory', retrieves],
    ['a retrieve', 'late directory', retrieves],
  ] as const)('while %s finds a %s in place of its own directory', async (_, how, commands) => {
    for (let n = 0; n < TRIES; n += 1) {
      const s = await scene();
      await chmod(s.victim, 0o755);
      const before = await owners(s.victim);
      for (const args of commands(s.theirs)) {
        const { stdout, stderr } = await exchanging(s, how, async () => root(...args));
        expect(await owners(s.victim), args.join(' ') + stdout + stderr).toEqual(before);
      }
    }
  });

  it.each([
    ['discard', ['discard', '--export-dir']],
    ['retrieve', ['retrieve', '--create', '--snapshot-dir', 'D', '--export-dir']],
  ])('while the directory that %s works on becomes a link to an export', async (_, words) => {
    for (let n = 0; n < TRIES; n += 1) {
      const { theirs } = await scene();
      const victim = join(theirs, '..', 'E');
      await cp(join(base, 'E'), victim, { recursive: true });
      const before = await owners(victim);
      const E = join(theirs, 'E');
      await cp(join(base, 'E'), E, { recursive: true });
      await runAs(ROOT, ['chown', '-R', String(MALLORY), E]);
      const flip = `
        const fs = require('node:fs');
        const [E, victim] = process.argv.slice(1);
        process.stdout.write('ready');
        for (;;) {
          try {
            fs.renameSync(E, E + '-aside');
            fs.symlinkSync(victim, E);
            fs.unlinkSync(E);
            fs.renameSync(E + '-aside', E);
          } catch {}
        }`;
      const attacker = startAs(MALLORY, [process.execPath, '-e', flip, E, victim]);
      const closed = once(attacker, 'close');
      await once(attacker.stdout!, 'data');
      const args = words.map((word) => (word === 'D' ? join(theirs, '..', 'D') : word));
      for (let m = 0; m < TRIES; m += 1) await root(...args, E);
      attacker.kill('SIGKILL');
      await closed;
      expect(await owners(victim)).toEqual(before);
    }
  });
});

describe('root can still work for another user', () => {
  it('restores into their home from a snapshot that only root may read', async () => {
    const dir = await fileDir();
    await chmod(dir, 0o711);
    const home = join(dir, 'home');
    await mkdir(join(home, 'data'), { recursive: true });
    for (const made of [home, join(home, 'data')]) await chown(made, ALICE, ALICE);
    await cp(join(base, 'D'), join(dir, 'D'), { recursive: true });
    await runAs(ROOT, ['chmod', '-R', 'go=', join(dir, 'D')]);
    const module = ['--module', `ibc=files:${join(home, 'data', 'ibc')}`];
    await done('restore', join(dir, 'D'), '--home', home, ...module);
    const found = await runAs(ROOT, ['find', home, '-not', '-uid', String(ALICE)]);
    expect(found.stdout).toBe('');
    expect(await readFile(join(home, 'data', 'ibc', 'sub', 'file'), 'utf8')).toBe('x');
    const agoric = join(home, 'data', 'agoric');
    await done('restore', join(dir, 'D'), '--home', home, '--replace', ...module);
    expect((await readdir(agoric)).sort()).toEqual([
      expect.stringMatching(/^before-1000-/u),
      DATABASE,
    ]);
    const again = await runAs(ROOT, ['find', home, '-not', '-uid', String(ALICE)]);
    expect(again.stdout).toBe('');
  });

  it('publishes, replaces and removes heights in their directory', async () => {
    const dir = await fileDir();
    await chmod(dir, 0o711);
    const D = join(dir, 'D');
    await mkdir(D);
    await chown(D, ALICE, ALICE);
    const args = ['--snapshot-dir', D, '--keep-last', '1'];
    await done('retrieve', '--create', '--state-dir', join(base, 'older'), ...args);
    await done('retrieve', '--create', '--state-dir', join(base, 'store'), ...args);
    expect(await visibleIn(D)).toEqual(['1000']);
    const read = await runAs(ALICE, ['find', D, '-type', 'f', '-readable', '-name', '*.json']);
    expect(read.stdout).toContain('manifest.json');
  });

  it('discards their export, and retrieves it into a snapshot', async () => {
    const dir = await fileDir();
    await chmod(dir, 0o711);
    for (const words of [['discard'], ['retrieve', '--create', '--snapshot-dir', join(dir, 'D')]]) {
      const E = join(dir, 'theirs', 'E');
      await cp(join(base, 'E'), E, { recursive: true });
      await runAs(ROOT, ['chown', '-R', String(ALICE), join(dir, 'theirs')]);
      await done(...words, '--export-dir', E);
      expect(existsSync(E)).toBe(false);
    }
  });
});

describe('what another user has planted', () => {
  it('does not make discard create the target of a stop file that is a dangling link', async () => {
    const { theirs } = await scene();
    const E = join(theirs, 'E');
    const made = join(theirs, '..', 'made');
    const waiting = root(
      ...['export', '--state-dir', join(base, 'store'), '--export-dir', E],
      ...['--at-height', '2000', '--timeout', '20s'],
    );
    while (!existsSync(join(E, '.swingsnap-operation.json'))) await sleep(20);
    await chown(E, MALLORY, MALLORY);
    const link = `ln -s ${made} ${join(E, '.swingsnap-stop')}`;
    await runAs(MALLORY, ['sh', '-c', link]);
    await done('discard', '--export-dir', E);
    await waiting;
    expect([existsSync(made), existsSync(E)]).toEqual([false, false]);
  });

  it('does not become a chunk that they may change later', async () => {
    const dir = await fileDir();
    await chmod(dir, 0o711);
    const D = join(dir, 'D');
    await cp(join(base, 'D', '900'), join(D, '900'), { recursive: true });
    await runAs(ROOT, ['chown', '-R', String(MALLORY), D]);
    await done('retrieve', '--create', '--state-dir', join(base, 'store'), '--snapshot-dir', D);
    const chunks = join(D, '1000', 'chunks');
    for (const name of await readdir(chunks)) {
      const { uid, nlink } = await stat(join(chunks, name));
      expect([name, uid, nlink]).toEqual([name, ROOT, 1]);
    }
  });
});
