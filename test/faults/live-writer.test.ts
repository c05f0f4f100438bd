/** Exports beside a node that keeps committing. Each is one whole commit, and the node does not notice. */
import { copyFile, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportOfPinned, openSwingStore } from '../../src/formats/swing-store/read/open.ts';
import { PinnedStore } from '../../src/formats/swing-store/read/pinned-store.ts';
import { noProgress } from '../../src/io/progress.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { fieldsOfTree } from '../../src/modules/files/read.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { findSource } from '../../src/source/find.ts';
import { openSource } from '../../src/source/open.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference, nextBlocks, referenceContinue } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { digestExportData, LiveWriter } from '../fixtures/writer.ts';

const isSoak = process.env['SWINGSNAP_SOAK'] === '1';
const seed = Number(process.env['SWINGSNAP_SEED'] ?? (isSoak ? Date.now() % 1_000_000 : 4711));
const EXPORTS = isSoak ? 50 : 9;

const fileDir = useTempDir('file');
let dir: string;
let writer: LiveWriter;

beforeAll(async () => {
  dir = await fileDir();
  writer = await LiveWriter.start(dir);
});
afterAll(closeReference);

/** Park and Miller's generator: numbers from 0 to below 1. */
let state = seed + 1;
function random(): number {
  state = (state * 48_271) % 2_147_483_647;
  return state / 2_147_483_647;
}

interface Told {
  readonly exitCode: number | null;
  readonly height: number;
  readonly path: string;
  readonly pid: number;
  readonly error?: {
    readonly code: string;
    readonly expected?: number;
    readonly found?: number;
    readonly hint?: string;
  };
}

async function swingsnap(...args: string[]): Promise<Told> {
  const { exitCode, json, stderr } = await runCli([...args, '--json']);
  expect(json, stderr).toBeDefined();
  return { ...(json as Told), exitCode };
}

/** Proves that `path` holds the whole commit of the given height, and nothing else. */
async function expectOneCommit(path: string, height: number): Promise<void> {
  const { summary } = await verify({ source: path, progress: noProgress });
  expect(summary.height).toBe(height);
  const source = await openSource(await findSource(path, { scratchDir: dir }), {
    codec: await loadZstdCodec(),
    scratchDir: dir,
    note: () => undefined,
  });
  let text = '';
  for await (const block of source.swingset.exportData({ scratchDir: dir })) {
    text += Buffer.from(block).toString();
  }
  await source.close();
  expect(digestExportData(text)).toBe(await writer.digestAt(height));
}

type Taken = Told & { /** Where it is. */ readonly at: string };

async function attached(at: string, ...more: string[]): Promise<Taken> {
  const store = ['--state-dir', writer.stateDir, '--export-dir', at];
  return { ...(await swingsnap('export', ...store, ...more)), at };
}

async function detached(at: string, ...more: string[]): Promise<Taken> {
  const started = await attached(at, '--detach', ...more);
  if (started.exitCode !== 0) return started;
  const told = await swingsnap(
    'retrieve',
    '--create',
    '--export-dir',
    at,
    '--snapshot-dir',
    join(dir, 'D'),
  );
  expect(told).toMatchObject({ exitCode: 0, height: started.height });
  return { ...told, at: told.path };
}

async function packaged(_at: string, ...more: string[]): Promise<Taken> {
  const store = ['--create', '--state-dir', writer.stateDir, '--snapshot-dir', join(dir, 'D')];
  const told = await swingsnap('retrieve', ...store, ...more);
  return { ...told, at: told.path };
}

/** Takes an export of the live store, in one of the three ways. */
async function take(i: number, ...more: string[]): Promise<Taken> {
  const way = [attached, detached, packaged][i % 3] ?? attached;
  return way(join(dir, `E-${Math.floor(random() * 1e9)}`), ...more);
}

describe(`beside a live writer (seed ${seed})`, { timeout: 600_000 }, () => {
  it(`${EXPORTS} exports at random moments are one commit each`, async () => {
    const heights: number[] = [];
    for (let i = 0; i < EXPORTS; i += 1) {
      writer.setPause(random() < 0.7 ? 0 : Math.floor(random() * 50));
      await sleep(random() * 100);
      const told = await take(i);
      expect(told.exitCode).toBe(0);
      await expectOneCommit(told.at, told.height);
      heights.push(told.height);
    }
    // The node committed between the exports.
    expect(new Set(heights).size).toBe(EXPORTS);
  });

  it('never takes a height other than the requested one, at any pace', async () => {
    writer.setPause(0);
    for (let i = 0; i < (isSoak ? 12 : 2); i += 1) {
      const wanted = (await writer.height()) + 100 + Math.floor(random() * 300);
      const told = await take(i, '--at-height', String(wanted));
      if (told.exitCode === 0) {
        expect(told.height).toBe(wanted);
        await expectOneCommit(told.at, wanted);
      } else {
        expect(told.exitCode).toBe(1);
        expect(told.error?.code).toMatch(/^HEIGHT_(MISSED|PAST)$/u);
      }
    }
  });

  it('takes only heights that are multiples, at any pace', async () => {
    for (let i = 0; i < (isSoak ? 12 : 2); i += 1) {
      const told = await take(i + 1, '--every', '40');
      if (told.exitCode === 0) {
        expect(told.height % 40).toBe(0);
        await expectOneCommit(told.at, told.height);
      } else {
        expect(told).toMatchObject({ exitCode: 1, error: { code: 'HEIGHT_MISSED' } });
      }
    }
  });

  it('never misses a height of a slow node', async () => {
    writer.setPause(500);
    for (let i = 0; i < (isSoak ? 12 : 2); i += 1) {
      let ahead = 4;
      let wanted: number;
      let told: Taken;
      do {
        wanted = (await writer.height()) + ahead;
        told = await take(i, '--at-height', String(wanted));
        // On a busy machine the command may start too late, and says so.
        ahead *= 2;
      } while (told.error?.code === 'HEIGHT_PAST');
      expect(told).toMatchObject({ exitCode: 0, height: wanted });
      await expectOneCommit(told.at, wanted);
    }
    const before = await writer.height();
    const told = await take(0, '--every', '4');
    expect(told.exitCode).toBe(0);
    expect(told.height % 4).toBe(0);
    expect(told.height).toBeGreaterThan(before);
    await expectOneCommit(told.at, told.height);
  });

  it('fails at once when the height is past', async () => {
    const told = await take(0, '--at-height', '1');
    expect(told).toMatchObject({ exitCode: 1, error: { code: 'HEIGHT_PAST', expected: 1 } });
  });

  it('shows the current height while it waits', async () => {
    writer.setPause(100);
    // Longer than the time between two lines of a log.
    const wanted = (await writer.height()) + 200;
    const E = join(dir, 'E-shown');
    const store = ['--state-dir', writer.stateDir, '--export-dir', E];
    const { stderr, exitCode } = await runCli(['export', ...store, '--at-height', String(wanted)]);
    expect(exitCode, stderr).toBe(0);
    const shown = [...stderr.matchAll(/waiting for height (\d+), now at (\d+)/gu)];
    expect(shown.length).toBeGreaterThan(1);
    expect(new Set(shown.map(([, target]) => Number(target)))).toEqual(new Set([wanted]));
    for (const [, , at] of shown) expect(Number(at)).toBeLessThan(wanted);
  });

  it('keeps its view whole while a tree of files that holds the store is refused', async () => {
    writer.setPause(0);
    const note = (): void => undefined;
    const options = { artifactMode: 'none', scratchDir: dir, note } as const;
    for (let i = 0; i < (isSoak ? 10 : 2); i += 1) {
      const store = await openSwingStore(writer.stateDir, options);
      try {
        const refusals = new Set<unknown>();
        const until = (await writer.height()) + 300;
        while ((await writer.height()) < until) {
          const walk = fieldsOfTree(writer.stateDir);
          refusals.add(await walk.catch((error: unknown) => (error as { code?: string }).code));
        }
        let text = '';
        for await (const block of store.exportData()) text += Buffer.from(block).toString();
        expect(digestExportData(text)).toBe(await writer.digestAt(store.height));
        expect([...refusals]).toEqual(['HOLDS_STORE']);
      } finally {
        await store.close();
      }
    }
  });

  it('keeps its view whole while the growth of the -wal is watched', async () => {
    writer.setPause(0);
    const note = (): void => undefined;
    for (let i = 0; i < (isSoak ? 10 : 2); i += 1) {
      const pinned = await PinnedStore.open(writer.stateDir, { scratchDir: dir, note });
      const store = exportOfPinned(pinned, 'none');
      try {
        const growths: number[] = [];
        const until = (await writer.height()) + 300;
        while ((await writer.height()) < until) growths.push(pinned.walGrowth());
        // The node checkpoints all the time, and cannot begin its log again under the view more than once.
        expect(growths).toEqual(growths.toSorted((a, b) => a - b));
        expect(growths.at(-1)).toBeGreaterThan(300 * 4096);
        let text = '';
        for await (const block of store.exportData()) text += Buffer.from(block).toString();
        expect(digestExportData(text)).toBe(await writer.digestAt(store.height));
      } finally {
        await store.close();
      }
    }
  });

  it('never kept the writer waiting, and left a store that can be continued', async () => {
    const stats = await writer.stop();
    expect(stats).toMatchObject({ busy: 0, errors: [] });
    expect(stats.commits).toBe(await writer.height());
    const names = await readdir(writer.stateDir);
    expect(names.filter((name) => !name.startsWith('swingstore.sqlite'))).toEqual([]);
    const blocks = nextBlocks(stats.commits, ['v1', 'v2']);
    expect((await referenceContinue(writer.stateDir, blocks)).exportDataHash).toMatch(/^\w{64}$/u);
    console.log(`seed ${seed}: ${JSON.stringify(stats)}`);
  });
});

describe('a store at rest', () => {
  it('is exported if it has the requested height', async () => {
    const { height } = await attached(join(dir, 'E-rest'));
    const again = await attached(join(dir, 'E-again'), '--at-height', String(height));
    expect(again).toMatchObject({ exitCode: 0, height });
  });

  it('is waited for until the timeout if it is at a multiple, since only the next one counts', async () => {
    const { height } = await attached(join(dir, 'E-now'));
    const E = join(dir, 'E-late');
    const told = await attached(E, '--every', String(height), '--timeout', '300ms');
    expect(told).toMatchObject({
      exitCode: 7,
      error: { code: 'TIMEOUT', expected: 2 * height, found: height },
    });
    expect(await readdir(dir)).not.toContain('E-late');
  });

  it('is no longer waited for once another store replaces it', async () => {
    const db = join(writer.stateDir, 'swingstore.sqlite');
    await mkdir(join(dir, 'other'));
    await copyFile(db, join(dir, 'other', 'swingstore.sqlite'));
    const waiting = attached(join(dir, 'E-other'), '--at-height', '100000000');
    while (!(await readdir(dir)).includes('E-other')) await sleep(20);
    await sleep(200);
    await rename(join(dir, 'other', 'swingstore.sqlite'), db);
    expect(await waiting).toMatchObject({ exitCode: 1, error: { code: 'STORE_REPLACED' } });
    expect(await readdir(dir)).not.toContain('E-other');
  });
});
