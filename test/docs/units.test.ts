/** Runs the command lines of the systemd units in `contrib/systemd`, as systemd runs them. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { commit, here, makeMachine, run, type Machine } from './machine.ts';
import { root } from './markdown.ts';

const tempDir = useTempDir();
afterAll(closeReference);

const dir = path.join(root, 'contrib/systemd');
const files = readdirSync(dir);
const services = files.filter((name) => name.endsWith('.service'));
/** The values of a setting, in order. */
function valuesOf(name: string, setting: string): readonly string[] {
  const text = readFileSync(path.join(dir, name), 'utf8');
  return [...text.matchAll(new RegExp(`^${setting}=(.*)$`, 'gmu'))].map(([, value = '']) => value);
}

/** What systemd has by default. */
const PATH = '/usr/local/bin:/usr/bin:/bin';

interface Outcome {
  /** Of the first line that failed, else 0. */
  readonly exitCode: unknown;
  readonly journal: string;
}

/** Runs a unit of `Type=oneshot`: its lines one after the other up to the first that fails, and those of its end anyway. */
async function start(on: Machine, unit: string): Promise<Outcome> {
  const environment = valuesOf(unit, 'Environment').map((word) => `export ${word}; `);
  const shell = (line: string): string =>
    `${environment.join('')}exec ${line.replaceAll('$$', '$').replaceAll('%%', '%')}`;
  const lines = ['ExecStartPre', 'ExecStart'].flatMap((setting) => valuesOf(unit, setting));
  let outcome: Outcome = { exitCode: 0, journal: '' };
  for (const line of lines) {
    const { exitCode, mail } = await run(on, shell(line), PATH);
    outcome = { exitCode, journal: outcome.journal + mail };
    if (exitCode !== 0) break;
  }
  for (const line of valuesOf(unit, 'ExecStopPost')) await run(on, shell(line), PATH);
  return outcome;
}

async function machineWithPlace(): Promise<Machine> {
  const on = await makeMachine(await tempDir());
  const first =
    'swingsnap retrieve --home /home/agoric/.agoric --snapshot-dir /backup/snapshots --create';
  expect(await run(on, first, PATH)).toMatchObject({ exitCode: 0 });
  return on;
}

async function heightsOf(on: Machine): Promise<readonly number[]> {
  const names = await readdir(path.join(on.dir, 'backup/snapshots'));
  return names.filter((name) => /^\d+$/u.test(name)).map(Number);
}

/** The value of a metric that a unit has written. */
async function metric(on: Machine, file: string, name: string, command: string): Promise<number> {
  const text = await readFile(path.join(on.dir, 'lib/metrics', `${file}.prom`), 'utf8');
  const label = `command="${command}",name="${file}"`;
  const line = text.split('\n').find((one) => one.startsWith(`swingsnap_${name}{${label}} `));
  return Number(line?.split(' ').at(-1));
}

describe('every unit', () => {
  it('has a timer, and every timer a unit', () => {
    const names = (suffix: string): string[] =>
      files.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
    expect(names('.timer')).toEqual(names('.service'));
    expect(names('.timer')).toHaveLength(4);
    expect(files).toHaveLength(8);
  });

  it.each(services)('%s may write where its commands write, and waits for those disks', (unit) => {
    const lines = ['ExecStartPre', 'ExecStart', 'ExecStopPost'].flatMap((name) =>
      valuesOf(unit, name),
    );
    const mounts = valuesOf(unit, 'RequiresMountsFor').join(' ').split(' ');
    const writable = [
      ...valuesOf(unit, 'ReadWritePaths').join(' ').split(' '),
      ...valuesOf(unit, 'StateDirectory')
        .join(' ')
        .split(' ')
        .map((name) => `/var/lib/${name}`),
    ];
    const isBelow = (paths: readonly string[]) => (one: string) =>
      paths.some((above) => above !== '' && `${one}/`.startsWith(`${above}/`));
    const words = lines.flatMap((line) => line.split(/[ '"]+/u));
    const named = words.filter((word) => /^\/(?:backup|home|var)\b/u.test(word));
    expect(named).not.toEqual([]);
    expect(
      named.filter((word) => !word.startsWith('/var/')).filter((word) => !isBelow(mounts)(word)),
    ).toEqual([]);
    const written = lines.flatMap((line) =>
      [...line.matchAll(/(?:--snapshot-dir|--metrics-file|prune|mkdir -p|rm -rf) (\/\S+)/gu)].map(
        ([, one = '']) => one.replace(/;$/u, ''),
      ),
    );
    expect(written).not.toEqual([]);
    expect(written.filter((one) => !isBelow(writable)(one))).toEqual([]);
  });

  const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;
  it.skipIf(!hasAnalyze)('is what systemd understands', async () => {
    const on = await makeMachine(await tempDir());
    for (const name of files) {
      const text = await readFile(path.join(dir, name), 'utf8');
      await writeFile(path.join(on.dir, name), here(on, text));
    }
    const verified = spawnSync('systemd-analyze', ['verify', ...files], {
      cwd: on.dir,
      encoding: 'utf8',
    });
    expect({ status: verified.status, stderr: verified.stderr }).toEqual({ status: 0, stderr: '' });
  });
});

describe('the units', { timeout: 180_000 }, () => {
  it('take a snapshot every night, and go on after one that failed', async () => {
    const on = await machineWithPlace();
    const [made = 0] = await heightsOf(on);
    commit(on);
    expect(await start(on, 'swingsnap-snapshot.service')).toMatchObject({ exitCode: 0 });
    expect(await metric(on, 'snapshot', 'height', 'retrieve')).toBe(made + 1);
    const success = await metric(on, 'snapshot', 'last_success_timestamp_seconds', 'retrieve');
    expect(success).toBeGreaterThan(0);

    commit(on);
    await rename(on.stateDir, `${on.stateDir}.gone`);
    const failed = await start(on, 'swingsnap-snapshot.service');
    expect(failed.exitCode).toBe(5);
    expect(failed.journal).toContain('no SwingStore there');
    expect(await metric(on, 'snapshot', 'last_run_exit_code', 'retrieve')).toBe(5);
    expect(await metric(on, 'snapshot', 'last_success_timestamp_seconds', 'retrieve')).toBe(
      success,
    );

    await rename(`${on.stateDir}.gone`, on.stateDir);
    expect(await start(on, 'swingsnap-snapshot.service')).toMatchObject({ exitCode: 0 });
    expect(await heightsOf(on)).toEqual(expect.arrayContaining([made + 1, made + 2]));
    expect(await start(on, 'swingsnap-monitor.service')).toMatchObject({ exitCode: 0 });
  });

  it('take a snapshot of the height that they wait for', async () => {
    const on = await machineWithPlace();
    const [made = 0] = await heightsOf(on);
    // So that the next commits reach it.
    const next = (Math.floor(made / 10_000) + 1) * 10_000;
    commit(on, next - 3 - made);
    const running = start(on, 'swingsnap-every.service');
    const over = new AbortController();
    const committing = (async () => {
      while (!over.signal.aborted) {
        await sleep(1000);
        commit(on);
      }
    })();
    const outcome = await running;
    over.abort();
    await committing;
    expect(outcome).toMatchObject({ exitCode: 0 });
    expect(await heightsOf(on)).toContain(next);
  });

  it('restore the newest snapshot, compare it, and leave nothing', async () => {
    const on = await machineWithPlace();
    commit(on);
    await start(on, 'swingsnap-snapshot.service');
    const newest = Math.max(...(await heightsOf(on)));
    expect(await start(on, 'swingsnap-check.service')).toMatchObject({ exitCode: 0 });
    for (const command of ['restore', 'verify']) {
      expect(await metric(on, 'check', 'height', command)).toBe(newest);
    }
    expect(await readdir(path.join(on.dir, 'backup'))).toEqual(['snapshots']);

    const chunks = path.join(on.dir, 'backup/snapshots', String(newest), 'chunks');
    const [chunk = ''] = await readdir(chunks);
    await writeFile(path.join(chunks, chunk), 'damaged');
    expect(await start(on, 'swingsnap-check.service')).toMatchObject({ exitCode: 3 });
    expect(await metric(on, 'check', 'last_run_exit_code', 'restore')).toBe(3);
    expect(await readdir(path.join(on.dir, 'backup'))).toEqual(['snapshots']);
  });

  it('fail for a monitor if the newest snapshot is too old', async () => {
    const on = await machineWithPlace();
    expect(await start(on, 'swingsnap-monitor.service')).toMatchObject({ exitCode: 0 });
    for (const height of await heightsOf(on)) {
      const file = path.join(on.dir, 'backup/snapshots', String(height), 'manifest.json');
      const manifest = JSON.parse(await readFile(file, 'utf8')) as { made: object };
      const made = { ...manifest.made, at: new Date(Date.now() - 27 * 3600_000).toISOString() };
      await writeFile(file, JSON.stringify({ ...manifest, made }, null, 2));
    }
    expect(await start(on, 'swingsnap-monitor.service')).toMatchObject({ exitCode: 7 });
  });
});
