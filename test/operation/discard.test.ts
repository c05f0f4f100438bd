/** How `discard` finds an export and ends it: by its directory, or by the lock of its store. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { discard, discardExportOf } from '../../src/operation/discard.ts';
import { lockOperation } from '../../src/operation/lock/lock.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { enlarge, hold, isRunning, start, swingsnap, until, untilGone } from './processes.ts';

const fileDir = useTempDir('file');
let store: string;

beforeAll(async () => {
  store = join(await fileDir(), 'S');
  await buildStore(store, tinySpec);
  enlarge(store);
});
afterAll(closeReference);

async function place() {
  const dir = await fileDir();
  const S = join(dir, 'S');
  await cp(store, S, { recursive: true });
  return { S, E: join(dir, 'E') };
}

const lockModule = new URL('../../dist/operation/lock/lock.js', import.meta.url).href;

/** A process with the lock of a store, for an export to a directory that it has not made yet. */
async function onItsWay(S: string, E: string, { isDeaf = false } = {}): Promise<ChildProcess> {
  const script = `
    const { lockOperation, lockedPathsOf } = await import('${lockModule}');
    const [stateDir, exportDir] = process.argv.slice(1);
    globalThis.lock = lockOperation(lockedPathsOf(stateDir), { operation: 'export', stateDir, exportDir });
    ${isDeaf ? 'process.on("SIGTERM", () => undefined);' : ''}
    setInterval(() => undefined, 1000);
    console.log('locked');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, S, E]);
  await once(child.stdout, 'data');
  return child;
}

describe('discard', { timeout: 60_000 }, () => {
  it('ends an export that has not made its directory', async () => {
    const { S, E } = await place();
    const { pid = 0 } = await onItsWay(S, E);
    expect(await swingsnap('status', '--state-dir', S)).toMatchObject({ state: 'running', pid });
    expect(await swingsnap('discard', '--export-dir', E)).toMatchObject({
      ...{ exitCode: 0, ended: true, files: 0, gone: true },
    });
    expect(isRunning(pid)).toBe(false);
    expect(await swingsnap('discard', '--export-dir', E)).toMatchObject({ ended: false });
  });

  it('ends an export that has not locked its directory', async () => {
    const { S, E } = await place();
    const { pid = 0 } = await onItsWay(S, E);
    await mkdir(E);
    expect(await discard(E)).toMatchObject({ ended: true, gone: true });
    expect(isRunning(pid)).toBe(false);
  });

  it('kills a worker that does not stop', async () => {
    const { S, E } = await place();
    const { pid = 0 } = await onItsWay(S, E, { isDeaf: true });
    const started = performance.now();
    expect(await discard(E, { grace: 500 })).toMatchObject({ ended: true });
    expect(performance.now() - started).toBeGreaterThan(500);
    expect(isRunning(pid)).toBe(false);
  });

  it('kills a worker that stands still, and removes what it wrote', async () => {
    const { S, E } = await place();
    const { command, pid } = await hold(S, E, '--detach');
    await command.told;
    expect(await discard(E, { grace: 200 })).toMatchObject({ ended: true, gone: true });
    await untilGone(pid);
    expect(existsSync(E)).toBe(false);
  });

  it('finds the export by its store', async () => {
    const { S, E } = await place();
    const { command, pid } = await hold(S, E, '--detach');
    await command.told;
    const told = start(['discard', '--state-dir', S]);
    await until(() => (existsSync(join(E, '.swingsnap-stop')) ? true : undefined));
    process.kill(pid, 'SIGCONT');
    expect(await told.told).toMatchObject({ exitCode: 0, exportDir: E, ended: true, gone: true });
    const again = await swingsnap('discard', '--state-dir', S);
    expect(again).toMatchObject({ exitCode: 0, ended: false, files: 0 });
    expect(again.exportDir).toBeUndefined();
  });

  it('ends no other operation on the store', async () => {
    const { S } = await place();
    const lock = lockOperation([S], { operation: 'restore', stateDir: S });
    try {
      await expect(discardExportOf(S)).rejects.toMatchObject({
        ...{ code: 'BUSY', message: 'restore is in progress', expected: 'an export' },
        hint: expect.stringContaining(`kill ${process.pid}`) as string,
      });
    } finally {
      lock.release();
    }
  });

  it('removes an export that was complete when it was asked, and does not say that it ended it', async () => {
    const { E } = await place();
    await mkdir(E);
    const lock = lockOperation([E], { operation: 'export', exportDir: E });
    const discarded = discard(E, { grace: Infinity });
    await until(() => (existsSync(join(E, '.swingsnap-stop')) ? true : undefined));
    const manifest = { blockHeight: 1, artifactMode: 'none', artifacts: [] };
    await writeFile(join(E, 'export-manifest.json'), JSON.stringify(manifest));
    lock.release();
    expect(await discarded).toMatchObject({ ended: false, gone: true });
  });
});
