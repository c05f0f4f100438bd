/** How much a `-wal` grows under a view. SQLite itself is the judge: a checkpoint tells how many frames a log has. */
import { once } from 'node:events';
import { cp, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PinnedStore } from '../../../../src/formats/swing-store/read/pinned-store.ts';
import { openDatabase, type Database } from '../../../../src/io/sqlite.ts';
import { exportStore } from '../../../../src/operation/export/export-store.ts';
import { watchPin } from '../../../../src/operation/store-view/bounds.ts';
import { useTempDir } from '../../../fixtures/directories.ts';
import { buildStore, closeReference } from '../../../fixtures/reference.ts';
import { tinySpec } from '../../../fixtures/specs.ts';

const fileDir = useTempDir('file');
const FRAME_BYTES = 4096 + 24;
const OLD_KEYS = 3000;
const MAX_WAL = 100_000;

let closed: string;
beforeAll(async () => {
  closed = join(await fileDir(), 'closed');
  await buildStore(closed, tinySpec);
});
afterAll(closeReference);

/** Sets keys in one transaction. */
function commit(node: Database, keys: number): void {
  node.exec(`
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${keys})
    REPLACE INTO kvStore SELECT 'z.' || n, hex(randomblob(500)) FROM numbers;
  `);
}

/** Frames of the log, which SQLite tells; copies them into the database as far as no view forbids it. */
function checkpoint(node: Database): number {
  const [{ log }] = node.pragma('wal_checkpoint(PASSIVE)') as [{ log: number }];
  return log;
}

/**
 * A store with a large `-wal`, as a node has it that once was read for long, and its node.
 * @param isEmptied whether all commits in the `-wal` are in the database too
 */
async function storeWithOldLog({ isEmptied }: { isEmptied: boolean }) {
  const dir = await fileDir();
  const S = join(dir, 'S');
  await cp(closed, S, { recursive: true });
  const node = openDatabase(join(S, 'swingstore.sqlite'));
  node.pragma('wal_autocheckpoint = 0');
  commit(node, OLD_KEYS);
  checkpoint(node);
  // The log begins again, over the old frames.
  commit(node, 1);
  if (isEmptied) checkpoint(node);
  const size = async () => (await stat(join(S, 'swingstore.sqlite-wal'))).size;
  return { dir, S, node, size };
}

async function pinned(dir: string, S: string, notes: string[] = []) {
  return PinnedStore.open(S, { scratchDir: dir, note: (message) => notes.push(message) });
}

describe('the growth of a -wal under a view', () => {
  it('is what was added to the log since the view was pinned, not what the file holds of older logs', async () => {
    const { dir, S, node, size } = await storeWithOldLog({ isEmptied: false });
    const sizeBefore = await size();
    const store = await pinned(dir, S);
    expect(store.walGrowth()).toBe(0);
    const before = checkpoint(node);
    let last = 0;
    for (const keys of [1, 10, 200]) {
      commit(node, keys);
      const growth = store.walGrowth();
      expect(growth).toBe((checkpoint(node) - before) * FRAME_BYTES);
      expect(growth).toBeGreaterThan(last);
      last = growth;
    }
    // All of it went over old frames, and the file has not grown at all.
    expect(await size()).toBe(sizeBefore);
    expect(last).toBeLessThan(sizeBefore);

    store.unpin();
    store.pin();
    expect(store.walGrowth()).toBe(0);
    await store.close();
    node.close();
  });

  it('is the whole of a log that was begun since', async () => {
    const { dir, S, node } = await storeWithOldLog({ isEmptied: true });
    const store = await pinned(dir, S);
    expect(store.walGrowth()).toBe(0);
    // The view needs nothing of a log that is in the database, so the node begins another one under it, but only once.
    for (const keys of [1, 100]) {
      commit(node, keys);
      expect(store.walGrowth()).toBe(checkpoint(node) * FRAME_BYTES);
    }
    await store.close();
    node.close();
  });

  it('is nothing when the node cuts the file off, and counts what comes then', async () => {
    const { dir, S, node, size } = await storeWithOldLog({ isEmptied: true });
    const store = await pinned(dir, S);
    node.pragma('wal_checkpoint(TRUNCATE)');
    expect(await size()).toBe(0);
    expect(store.walGrowth()).toBe(0);
    commit(node, 100);
    expect(store.walGrowth()).toBe((await size()) - 32);
    await store.close();
    node.close();
  });

  it('is what --max-wal bounds, whatever the file has become before', async () => {
    const { dir, S, node, size } = await storeWithOldLog({ isEmptied: false });
    expect(await size()).toBeGreaterThan(10 * MAX_WAL);
    const done = exportStore({ stateDir: S, exportDir: join(dir, 'E'), maxWal: MAX_WAL });
    expect(await done).toMatchObject({ height: tinySpec.height });
    node.close();
  });

  it('ends a read when it is more than --max-wal, even if the file has not grown', async () => {
    const { dir, S, node, size } = await storeWithOldLog({ isEmptied: false });
    const before = await size();
    const store = await pinned(dir, S);
    const lookout = watchPin(store, { maxWal: MAX_WAL }, undefined);
    lookout.throwIfDue();
    commit(node, 400);
    await once(lookout.signal, 'abort');
    lookout.end();
    expect(lookout.signal.reason).toMatchObject({
      code: 'MAX_WAL',
      exitCode: 1,
      path: join(S, 'swingstore.sqlite-wal'),
      expected: 'at most 100000 bytes more',
      found: `${store.walGrowth()} bytes more than when the view was pinned`,
    });
    expect(await size()).toBe(before);
    await store.close();
    node.close();
  });
});

describe('the note about a -wal that no process has open', () => {
  it('gives the bytes of its newest log, not what is left of older ones', async () => {
    const { dir, S, node } = await storeWithOldLog({ isEmptied: false });
    const killed = join(dir, 'killed');
    await cp(S, killed, { recursive: true });
    const live = checkpoint(node) * FRAME_BYTES;
    node.close();
    const notes: string[] = [];
    const store = await pinned(dir, killed, notes);
    await store.close();
    expect(notes).toEqual([
      expect.stringContaining(`swingstore.sqlite-wal holds ${live} bytes of commits`),
    ]);
    expect(live).toBeLessThan(20_000);
  });
});
