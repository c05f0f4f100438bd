/**
 * If a thread ends with an open database, Node tears it down in an order of its own, which has aborted commands. So
 * every thread and process closes what it opened, and then exits by itself, or is ended by its pool.
 */
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { sizedSpec } from '../fixtures/store-spec.ts';

const tempDir = useTempDir();
const fileDir = useTempDir('file');
const hook = new URL('../fixtures/count-databases.js', import.meta.url).href;

let stateDir: string;

beforeAll(async () => {
  stateDir = path.join(await fileDir(), 'agoric');
  // Large enough that threads take part.
  await buildStore(
    stateDir,
    sizedSpec({
      keys: 20_000,
      valueBytes: 400,
      vats: 2,
      heapBytes: 1_000_000,
      items: 20,
      itemBytes: 2000,
      bundles: 2,
      bundleBytes: 100_000,
      b1Share: 0.5,
    }),
  );
});
afterAll(closeReference);

interface Thread {
  opened: number;
  closed: number;
  ended: boolean;
}

/** Runs a command, and returns what each of its threads opened and closed. */
async function threadsOf(args: readonly string[], exitCode: number): Promise<Thread[]> {
  const log = path.join(await tempDir(), 'databases.log');
  const env = { NODE_OPTIONS: `--import ${hook}`, SWINGSNAP_DATABASES: log };
  const result = await runCli([...args, '--concurrency', '2'], { env });
  expect([result.exitCode, result.signal], result.stderr).toEqual([exitCode, null]);
  const threads = new Map<string, Thread>();
  for (const line of (await readFile(log, 'utf8')).trim().split('\n')) {
    const [where = '', what] = line.split(' ');
    const thread = threads.get(where) ?? { opened: 0, closed: 0, ended: false };
    threads.set(where, thread);
    if (what === 'open') thread.opened += 1;
    if (what === 'close') thread.closed += 1;
    if (what === 'end') thread.ended = true;
  }
  return [...threads.values()].filter(({ opened }) => opened > 0);
}

/** @param least the least number of threads with a database, so that the test does not pass without any */
function expectClosed(threads: readonly Thread[], least: number): void {
  expect(threads.length).toBeGreaterThanOrEqual(least);
  expect(threads).toEqual(threads.map((thread): Thread => ({ ...thread, closed: thread.opened })));
  expect(threads.some(({ ended }) => ended)).toBe(true);
}

describe('every thread and process of a command closes its databases before it ends', () => {
  it('from a live store to a snapshot, and from there to a new store', async () => {
    const dir = await tempDir();
    const snapshots = path.join(dir, 'snapshots');
    const retrieve = ['retrieve', '--create', '--state-dir', stateDir, '--snapshot-dir', snapshots];
    expectClosed(await threadsOf(retrieve, 0), 3);
    await mkdir(path.join(dir, 'new'));
    const restore = ['restore', snapshots, '--state-dir', path.join(dir, 'new', 'agoric')];
    expectClosed(await threadsOf(restore, 0), 2);
    const verify = ['verify', snapshots, '--state-dir', stateDir];
    expectClosed(await threadsOf(verify, 0), 1);
  });

  it('through an export directory', async () => {
    const dir = await tempDir();
    const exportDir = path.join(dir, 'export');
    expectClosed(
      await threadsOf(['export', '--state-dir', stateDir, '--export-dir', exportDir], 0),
      3,
    );
    expectClosed(await threadsOf(['verify', exportDir], 0), 1);
  });

  it('in a command that fails halfway', async () => {
    const dir = await tempDir();
    const snapshots = path.join(dir, 'snapshots');
    const retrieve = ['retrieve', '--create', '--state-dir', stateDir, '--snapshot-dir', snapshots];
    expectClosed(await threadsOf([...retrieve, '--height', '99'], 5), 1);
    await threadsOf(retrieve, 0);
    const restore = ['restore', snapshots, '--state-dir', path.join(dir, 'agoric')];
    expectClosed(await threadsOf([...restore, '--expect', '0'.repeat(64)], 3), 2);
  });
});
