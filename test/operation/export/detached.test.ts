import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../../src/io/progress.ts';
import { openDatabase } from '../../../src/io/sqlite.ts';
import { discard } from '../../../src/operation/discard.ts';
import { awaitExport } from '../../../src/operation/export/await-export.ts';
import { fateOf } from '../../../src/operation/lock/record.ts';
import { status } from '../../../src/operation/status.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import { buildStore, closeReference } from '../../fixtures/reference.ts';
import { prunedSpec, tinySpec } from '../../fixtures/specs.ts';
import {
  enlarge,
  hold,
  isRunning,
  setHeight,
  start,
  swingsnap,
  until,
  untilGone,
} from '../processes.ts';

const RECORD = '.swingsnap-operation.json';
const STOP = '.swingsnap-stop';
const fileDir = useTempDir('file');
/** Holds `small`, `large` and `pruned`, which no test changes. */
let base: string;

beforeAll(async () => {
  base = await fileDir();
  await buildStore(join(base, 'small'), tinySpec);
  await buildStore(join(base, 'pruned'), prunedSpec);
  await cp(join(base, 'small'), join(base, 'large'), { recursive: true });
  enlarge(join(base, 'large'));
});
afterAll(closeReference);

/** A store for one test, and a place for its export. */
async function scene(store: 'small' | 'large' | 'pruned') {
  const dir = await fileDir();
  const S = join(dir, 'S');
  await cp(join(base, store), S, { recursive: true });
  return { dir, S, E: join(dir, 'E'), D: join(dir, 'D') };
}

async function namesIn(dir: string): Promise<string[]> {
  return Object.keys(await listTree(dir));
}

describe('a detached export', { timeout: 180_000 }, () => {
  it('has started before it reads anything that grows with the store', async () => {
    const { S, E, D } = await scene('pruned');
    const archival = ['--artifact-mode', 'archival', '--detach'];
    const started = await swingsnap('export', '--state-dir', S, '--export-dir', E, ...archival);
    expect(started).toMatchObject({ exitCode: 0, started: true, height: 2000 });

    await until(async () => ((await fateOf(E))?.fate === 'failed' ? true : undefined));
    expect(await namesIn(E)).toEqual([RECORD]);
    expect(await swingsnap('status', '--export-dir', E)).toMatchObject({
      exitCode: 0,
      state: 'failed',
      height: 2000,
      failure: { code: 'INCOMPLETE', exitCode: 1 },
    });
    const retrieved = await swingsnap(
      'retrieve',
      '--create',
      '--export-dir',
      E,
      '--snapshot-dir',
      D,
    );
    expect(retrieved).toMatchObject({ exitCode: 1, error: { code: 'EXPORT_FAILED' } });
    expect(retrieved.error?.message).toContain('not complete for mode archival');
    expect(retrieved.error?.hint).toContain('run the export again');
    // The next export is not hindered by what it left.
    await untilGone(started.pid ?? 0);
    expect(await swingsnap('export', '--state-dir', S, '--export-dir', E)).toMatchObject({
      exitCode: 0,
    });
  });

  it('can be shown, waited for and packed after its terminal and its command are gone', async () => {
    const { S, E, D } = await scene('large');
    const { command, pid } = await hold(S, E, '--detach');
    expect((await command.told).exitCode).toBe(0);
    process.kill(pid, 'SIGHUP');
    expect(await status({ stateDir: S })).toMatchObject({
      state: 'running',
      operation: 'export',
      pid,
    });
    expect(await swingsnap('status', '--export-dir', E)).toMatchObject({
      exitCode: 0,
      state: 'running',
      operation: 'export',
      height: 1000,
      stateDir: S,
      exportDir: E,
      pid,
    });
    const store = ['retrieve', '--create', '--export-dir', E, '--snapshot-dir', D];
    expect(await swingsnap(...store, '--no-wait')).toMatchObject({
      exitCode: 4,
      error: { code: 'NOT_DONE' },
    });
    const waiting = start([...store, '--level', '1']);
    await sleep(300);
    process.kill(pid, 'SIGCONT');
    expect(await waiting.told).toMatchObject({ exitCode: 0, height: 1000 });
    expect(await namesIn(E)).toEqual([]);
  });

  it('continues if its command is killed while it waits for its height', async () => {
    const { S, E } = await scene('small');
    const flags = ['--detach', '--at-height', '1001'];
    const { child } = start(['export', '--state-dir', S, '--export-dir', E, ...flags]);
    const { record } = await until(async () => {
      const found = await fateOf(E);
      return found?.record.awaitedHeight === undefined ? undefined : found;
    });
    child.kill('SIGKILL');
    expect(await status({ exportDir: E })).toMatchObject({ state: 'waiting', awaitedHeight: 1001 });
    expect(await status({ stateDir: S })).toMatchObject({ state: 'waiting', pid: record.pid });
    setHeight(S, 1001);
    await awaitExport(E, { wait: true, progress: noProgress });
    expect(await status({ exportDir: E })).toMatchObject({ state: 'done', height: 1001 });
  });

  it('does not hold the lock of a script that has started it', async () => {
    const { dir, S, E } = await scene('small');
    const lock = join(dir, 'lock');
    const script = 'exec 18>"$0.other" 200>"$0" && flock -n 200 && exec "$@"';
    const flags = ['--detach', '--at-height', '1001'];
    const args = ['export', '--state-dir', S, '--export-dir', E, ...flags];
    const { child } = start(args, ['bash', '-c', script, lock]);
    const { record } = await until(async () => {
      const found = await fateOf(E);
      return found?.record.awaitedHeight === undefined ? undefined : found;
    });
    const isHeld = (): boolean => spawnSync('flock', ['-n', lock, 'true']).status !== 0;
    expect(isHeld()).toBe(true);
    child.kill('SIGKILL');
    await untilGone(child.pid ?? 0);
    expect(isRunning(record.pid)).toBe(true);
    expect(isHeld()).toBe(false);
    expect(
      readdirSync(`/proc/${record.pid}/fd`).map((fd) =>
        readlinkSync(`/proc/${record.pid}/fd/${fd}`),
      ),
    ).not.toContain(`${lock}.other`);
    await discard(E);
  });

  it('leaves a record of a failure that its command could not report', async () => {
    const { S, E } = await scene('small');
    const flags = ['--detach', '--at-height', '1001', '--timeout', '1500ms'];
    const { child } = start(['export', '--state-dir', S, '--export-dir', E, ...flags]);
    await until(async () => await fateOf(E));
    child.kill('SIGKILL');
    await until(async () => ((await fateOf(E))?.fate === 'failed' ? true : undefined));
    expect(await status({ exportDir: E })).toMatchObject({
      failure: { code: 'TIMEOUT', exitCode: 7 },
    });
    expect(await namesIn(E)).toEqual([RECORD]);
  });

  it('is reported as dead once its worker is killed, and can be run again', async () => {
    const { S, E, D } = await scene('large');
    const { pid } = await hold(S, E, '--detach');
    process.kill(pid, 'SIGKILL');
    await untilGone(pid);
    expect(await swingsnap('status', '--export-dir', E)).toMatchObject({ state: 'dead', pid });
    expect(await status({ stateDir: S })).toMatchObject({ state: 'none' });
    const retrieved = await swingsnap(
      'retrieve',
      '--create',
      '--export-dir',
      E,
      '--snapshot-dir',
      D,
    );
    expect(retrieved).toMatchObject({ exitCode: 1, error: { code: 'EXPORT_DIED' } });
    expect(retrieved.error?.hint).toContain('run the export again');
    expect(await swingsnap('export', '--state-dir', S, '--export-dir', E)).toMatchObject({
      exitCode: 0,
    });
    expect(await swingsnap('discard', '--export-dir', E)).toMatchObject({ exitCode: 0 });
    expect(await namesIn(E)).toEqual([]);
  });

  it('is ended by one discard or two at once, and a waiting retrieve reports that', async () => {
    const { dir, S, E } = await scene('large');
    const { pid } = await hold(S, E, '--detach');
    const heard = awaitExport(E, { wait: true, progress: noProgress }).then(
      () => undefined,
      (error: unknown) => error,
    );
    const discards = [1, 2].map(async () => swingsnap('discard', '--export-dir', E));
    await until(() => (existsSync(join(E, STOP)) ? true : undefined));
    process.kill(pid, 'SIGCONT');
    const ended = await Promise.all(discards);
    expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(ended.some(({ ended }) => ended === true)).toBe(true);
    expect(await heard).toMatchObject({
      exitCode: 5,
      code: 'EXPORT_DISCARDED',
      hint: 'run the export again',
    });
    await untilGone(pid);
    expect((await namesIn(dir)).filter((name) => !name.startsWith('S'))).toEqual([]);
    expect(await status({ stateDir: S })).toMatchObject({ state: 'none' });
    expect(await discard(E)).toMatchObject({ ended: false, files: 0 });
  });

  it('is removed by discard after it died or failed', async () => {
    const { S, E } = await scene('large');
    const { pid } = await hold(S, E, '--detach');
    process.kill(pid, 'SIGKILL');
    await untilGone(pid);
    expect(await discard(E)).toMatchObject({ ended: false, gone: true, left: [] });
    await swingsnap('export', '--state-dir', S, '--export-dir', E, '--detach', '--max-time', '1ms');
    await until(async () => ((await fateOf(E))?.fate === 'failed' ? true : undefined));
    expect(await discard(E)).toMatchObject({ files: 1, gone: true });
  });

  it('is ended by discard while it waits for its height, and its command reports that', async () => {
    const { S, E } = await scene('small');
    await mkdir(E);
    const flags = ['--detach', '--at-height', '1001'];
    const starter = start(['export', '--state-dir', S, '--export-dir', E, ...flags]);
    await until(async () => await fateOf(E));
    expect(await discard(E)).toMatchObject({ ended: true, left: [] });
    expect(await starter.told).toMatchObject({ exitCode: 1, error: { code: 'DISCARDED' } });
    expect(await namesIn(E)).toEqual([]);
  });

  it('is ended by --max-time, and its record shows that', async () => {
    const { S, E } = await scene('large');
    const args = ['export', '--state-dir', S, '--export-dir', E, '--detach', '--max-time', '1ms'];
    expect(await swingsnap(...args)).toMatchObject({ exitCode: 0, height: 1000 });
    await expectFailed(E, { code: 'MAX_TIME', exitCode: 7 });
  });

  it('is ended by --max-wal when the node has committed that much, and its record shows that', async () => {
    const { S, E } = await scene('large');
    const { pid } = await hold(S, E, '--detach', '--max-wal', '1KiB');
    const node = openDatabase(join(S, 'swingstore.sqlite'));
    node.exec(`UPDATE kvStore SET value = '1001' WHERE key = 'host.height'`);
    process.kill(pid, 'SIGCONT');
    await expectFailed(E, { code: 'MAX_WAL', exitCode: 1 });
    node.close();
  });
});

async function expectFailed(E: string, failure: { code: string; exitCode: number }) {
  await until(async () => ((await fateOf(E))?.fate === 'failed' ? true : undefined));
  expect(await namesIn(E)).toEqual([RECORD]);
  expect(await status({ exportDir: E })).toMatchObject({ state: 'failed', failure });
}

describe('an operation that is alive', { timeout: 180_000 }, () => {
  it('is not inferred from a copied record, nor from a process with the same pid', async () => {
    const { dir, S, E } = await scene('large');
    const { pid } = await hold(S, E, '--detach');
    await cp(E, join(dir, 'copy'), { recursive: true });
    expect(await status({ exportDir: E })).toMatchObject({ state: 'running' });
    expect(await status({ exportDir: join(dir, 'copy') })).toMatchObject({ state: 'dead' });
    process.kill(pid, 'SIGKILL');
    await untilGone(pid);
    const record = JSON.parse(await readFile(join(E, RECORD), 'utf8')) as object;
    await writeFile(join(E, RECORD), JSON.stringify({ ...record, pid: process.pid }));
    expect(isRunning(process.pid)).toBe(true);
    expect(await status({ exportDir: E })).toMatchObject({ state: 'dead', pid: process.pid });
  });

  it('is found by every path of its store', async () => {
    const { dir, S, E, D } = await scene('large');
    const { pid, command } = await hold(S, E, '--detach');
    await command.told;
    await symlink(S, join(dir, 'link'));
    await mkdir(join(dir, 'inner'));
    await symlink(join(S, 'swingstore.sqlite'), join(dir, 'inner', 'swingstore.sqlite'));
    const other = join(dir, 'E2');
    const snapshot = ['--snapshot-dir', D];
    const refused = await Promise.all([
      swingsnap('export', '--state-dir', join(dir, 'link'), '--export-dir', other),
      swingsnap('retrieve', '--create', '--state-dir', join(dir, 'inner'), ...snapshot),
      start(['retrieve', '--create', '--state-dir', relative(dir, S), ...snapshot], [], dir).told,
      start(
        ['export', '--state-dir', join(dir, 'mnt'), '--export-dir', other],
        canUnshare('-m') ? bindMounted(S, join(dir, 'mnt')) : [],
      ).told,
    ]);
    for (const [i, told] of refused.entries()) {
      // Without mount rights, the last path does not exist.
      if (i === 3 && !canUnshare('-m')) continue;
      expect(told).toMatchObject({ exitCode: 4, error: { code: 'BUSY', path: E } });
      expect(told.error?.message).toBe('export of height 1000 is in progress');
      expect(told.error?.found).toMatch(new RegExp(`^process ${pid} on .+, since 20\\d\\d-`, 'u'));
      expect(told.error?.hint).toContain(`swingsnap discard --export-dir ${E}`);
      expect(told.error?.hint).toContain(`swingsnap retrieve --export-dir ${E}`);
    }
    process.kill(pid, 'SIGKILL');
    await untilGone(pid);
    expect((await namesIn(dir)).filter((name) => /^(E2|D)/u.test(name))).toEqual([]);
  });

  it('keeps a restore out of its store', async () => {
    const { dir, S, E } = await scene('large');
    const done = join(dir, 'done');
    await swingsnap('export', '--state-dir', join(base, 'pruned'), '--export-dir', done);
    const before = await listTree(S);
    const { pid } = await hold(S, E, '--detach');
    const told = await swingsnap('restore', done, '--state-dir', S, '--replace');
    expect(told).toMatchObject({ exitCode: 4, error: { code: 'BUSY', path: E } });
    process.kill(pid, 'SIGKILL');
    await untilGone(pid);
    const after = await listTree(S);
    expect(after['swingstore.sqlite']).toEqual(before['swingstore.sqlite']);
    expect(Object.keys(after).filter((name) => !name.startsWith('swingstore'))).toEqual([]);
  });

  it.runIf(canUnshare('--pid', '--fork', '--mount-proc'))(
    'is seen from another process namespace',
    async () => {
      const { dir, S, E } = await scene('small');
      const args = ['export', '--state-dir', S, '--export-dir', E, '--at-height', '1001'];
      const inside = start(args, ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']);
      const { record } = await until(async () => await fateOf(E));
      // Its pid belongs to its own namespace, and to another process in this one.
      expect(record.pid).toBeLessThan(50);
      expect(await status({ exportDir: E })).toMatchObject({ state: 'waiting' });
      expect(
        await swingsnap('export', '--state-dir', S, '--export-dir', join(dir, 'E2')),
      ).toMatchObject({ exitCode: 4, error: { code: 'BUSY', path: E } });
      setHeight(S, 1001);
      expect(await inside.told).toMatchObject({ exitCode: 0, height: 1001 });
      expect(await status({ exportDir: E })).toMatchObject({ state: 'done' });
    },
  );
});

function canUnshare(...flags: readonly string[]): boolean {
  return spawnSync('unshare', [...flags, 'true']).status === 0;
}

function bindMounted(from: string, to: string): string[] {
  const script = 'mkdir -p "$1" && mount --bind "$0" "$1" && shift && exec "$@"';
  return ['unshare', '-m', 'sh', '-ec', script, from, to];
}
