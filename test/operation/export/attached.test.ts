import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fateOf } from '../../../src/operation/lock/record.ts';
import { status } from '../../../src/operation/status.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import { buildStore, closeReference } from '../../fixtures/reference.ts';
import { tinySpec } from '../../fixtures/specs.ts';
import { enlarge, hold, isRunning, start, swingsnap, until, untilGone } from '../processes.ts';

const fileDir = useTempDir('file');
let S: string;

beforeAll(async () => {
  const base = await fileDir();
  S = join(base, 'S');
  await buildStore(S, tinySpec);
  enlarge(S);
});
afterAll(closeReference);

/** A place for an export; `there` makes the directory itself beforehand. */
async function place({ there = false } = {}) {
  const dir = await fileDir();
  const E = join(dir, 'E');
  if (there) await mkdir(E);
  return { dir, E, before: Object.keys(await listTree(dir)) };
}

async function expectUntouched(dir: string, before: readonly string[]): Promise<void> {
  expect(Object.keys(await listTree(dir))).toEqual(before);
  expect(await status({ stateDir: S })).toMatchObject({ state: 'none' });
}

describe('an export that its command waits for', { timeout: 180_000 }, () => {
  it.each([{ there: false }, { there: true }])(
    'ends with its command, even if the command is killed (directory exists: $there)',
    async ({ there }) => {
      const { dir, E, before } = await place({ there });
      const { command, pid } = await hold(S, E);
      command.child.kill('SIGKILL');
      process.kill(pid, 'SIGCONT');
      await untilGone(pid);
      await expectUntouched(dir, before);
    },
  );

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'leaves nothing behind at %s, and its command exits with the code of the signal',
    async (signal, exitCode) => {
      const { dir, E, before } = await place();
      const { command, pid } = await hold(S, E);
      command.child.kill(signal);
      process.kill(pid, 'SIGCONT');
      expect(await command.told).toMatchObject({ exitCode, error: { code: 'INTERRUPTED' } });
      expect(isRunning(pid)).toBe(false);
      await expectUntouched(dir, before);
    },
  );

  it('is abandoned at once at a second SIGINT, and then ends by itself', async () => {
    const { dir, E, before } = await place();
    const { command, pid } = await hold(S, E);
    command.child.kill('SIGINT');
    // The worker is stopped: without a second SIGINT, the command would wait for it.
    const timer = setInterval(() => command.child.kill('SIGINT'), 100);
    await until(() => command.child.exitCode ?? undefined);
    clearInterval(timer);
    expect(command.child.exitCode).toBe(130);
    expect(isRunning(pid)).toBe(true);
    process.kill(pid, 'SIGCONT');
    await untilGone(pid);
    await expectUntouched(dir, before);
  });

  it('fails when its worker is killed, and leaves the directory as it was', async () => {
    const { dir, E, before } = await place();
    const { command, pid } = await hold(S, E);
    process.kill(pid, 'SIGKILL');
    expect(await command.told).toMatchObject({
      exitCode: 1,
      error: { code: 'WORKER_DIED', found: 'SIGKILL' },
    });
    await expectUntouched(dir, before);
  });

  it('fails when it is discarded', async () => {
    const { dir, E, before } = await place();
    const { command, pid } = await hold(S, E);
    const discard = start(['discard', '--export-dir', E]);
    await until(async () => ('E/.swingsnap-stop' in (await listTree(dir)) ? true : undefined));
    process.kill(pid, 'SIGCONT');
    expect(await discard.told).toMatchObject({ exitCode: 0, ended: true });
    expect(await command.told).toMatchObject({ exitCode: 1, error: { code: 'DISCARDED' } });
    await expectUntouched(dir, before);
  });

  it('is removed by the next export if its command and worker were killed together', async () => {
    const { E } = await place({ there: true });
    const { command, pid } = await hold(S, E);
    command.child.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    await untilGone(pid);
    expect(await fateOf(E)).toMatchObject({ fate: 'dead' });
    expect(
      await swingsnap('export', '--state-dir', S, '--export-dir', E, '--artifact-mode', 'none'),
    ).toMatchObject({ exitCode: 0 });
    expect(Object.keys(await listTree(E))).toEqual([
      '.swingsnap-operation.json',
      'export-data.jsonl',
      'export-manifest.json',
    ]);
  });
});
