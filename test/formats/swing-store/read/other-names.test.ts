/** Stores with hard links. SQLite looks for the last commits only next to the name that it is given. */
import { spawnSync } from 'node:child_process';
import { cp, link, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSwingStore } from '../../../../src/formats/swing-store/read/open.ts';
import { openDatabase } from '../../../../src/io/sqlite.ts';
import { holdDatabase } from '../../../commands/surroundings.ts';
import { listTree, useTempDir } from '../../../fixtures/directories.ts';
import { buildStore, closeReference } from '../../../fixtures/reference.ts';
import { tinySpec } from '../../../fixtures/specs.ts';

const fileDir = useTempDir('file');
const FILE = 'swingstore.sqlite';
let stores: string;

beforeAll(async () => {
  stores = await fileDir();
  await buildStore(join(stores, 'closed'), tinySpec);
  await buildStore(join(stores, 'killed'), { ...tinySpec, leaveWal: 'last-commit' });
});
afterAll(closeReference);

/** A store in `<dir>/node/S`, and a second name of its database in `<dir>/<other>`. */
async function place(kind: 'closed' | 'killed', other = 'node/other') {
  const dir = await fileDir();
  const S = join(dir, 'node', 'S');
  await mkdir(join(dir, 'node'));
  await cp(join(stores, kind), S, { recursive: true });
  await mkdir(join(dir, other), { recursive: true });
  await link(join(S, FILE), join(dir, other, FILE));
  return { dir, S, other: join(dir, other) };
}

async function heightOf(stateDir: string): Promise<number> {
  const scratchDir = await mkdtemp(join(stores, 'scratch-'));
  const note = (): void => undefined;
  const store = await openSwingStore(stateDir, { artifactMode: 'debug', scratchDir, note });
  await store.close();
  return store.height;
}

const refusal = {
  code: 'OTHER_NAME',
  exitCode: 1,
  hint: expect.stringMatching(/-samefile/u) as unknown,
};

describe('a store that is in use by another name', () => {
  it('is refused while a process has it open by that name, and no file appears next to it', async () => {
    const { S, other } = await place('closed');
    const node = await holdDatabase(join(S, FILE));
    try {
      await expect(heightOf(other)).rejects.toMatchObject({
        ...refusal,
        path: join(other, FILE),
        found: expect.stringMatching(/^process \d+ has it open under another name$/u) as unknown,
      });
      expect(Object.keys(await listTree(other))).toEqual([FILE]);
      expect(await heightOf(S)).toBe(tinySpec.height);
    } finally {
      await node.release();
    }
  });

  it('is refused if its last commits are next to the other name', async () => {
    const { S, other } = await place('killed');
    const found = `${join(S, FILE)}-wal holds commits`;
    await expect(heightOf(other)).rejects.toMatchObject({ ...refusal, found });
    expect(Object.keys(await listTree(other))).toEqual([FILE]);
    expect(await heightOf(S)).toBe(tinySpec.height);
  });

  it('is refused if the other name cannot be found, because a -wal may be next to it', async () => {
    const { other } = await place('killed', 'elsewhere/below');
    const found = '2 names, and no -wal beside this one';
    await expect(heightOf(other)).rejects.toMatchObject({ ...refusal, found });
  });
});

describe('unused other names', () => {
  it.each(['.swingsnap-restore-0123456789ab', 'before-1000-20260101T000000Z'])(
    'are no obstacle if a killed restore left them: %s',
    async (name) => {
      const { S } = await place('closed', join('node', 'S', name));
      expect(await heightOf(S)).toBe(tinySpec.height);
    },
  );

  it.each([
    ['node/S', 'node/S.bak', 'node/S.bak'],
    ['node', 'node.bak', 'node.bak/S'],
  ])('are no obstacle if cp -al made them, from %s to %s', async (from, to, copy) => {
    for (const kind of ['closed', 'killed'] as const) {
      const dir = await fileDir();
      await mkdir(join(dir, 'node'));
      await cp(join(stores, kind), join(dir, 'node', 'S'), { recursive: true });
      expect(spawnSync('cp', ['-al', join(dir, from), join(dir, to)]).status).toBe(0);
      expect(await heightOf(join(dir, copy))).toBe(tinySpec.height);
      expect(await heightOf(join(dir, 'node', 'S'))).toBe(tinySpec.height);
    }
  });

  it('are no obstacle anywhere to a store that was not closed and has its -wal next to it', async () => {
    const { S } = await place('killed', 'elsewhere/below');
    expect(await heightOf(S)).toBe(tinySpec.height);
  });

  it('are no obstacle anywhere while a node has the store open by the requested name', async () => {
    const { S } = await place('closed', 'elsewhere/below');
    const node = await holdDatabase(join(S, FILE));
    try {
      expect(await heightOf(S)).toBe(tinySpec.height);
    } finally {
      await node.release();
    }
  });

  it('are no obstacle to a store in rollback mode, which is a single file', async () => {
    const { S, other } = await place('closed', 'elsewhere/below');
    const db = openDatabase(join(S, FILE));
    db.pragma('journal_mode = DELETE');
    db.close();
    expect(await heightOf(other)).toBe(tinySpec.height);
  });

  it('no longer matter once they are removed', async () => {
    const { S, other } = await place('closed', 'elsewhere/below');
    await rm(other, { recursive: true });
    expect(await heightOf(S)).toBe(tinySpec.height);
  });
});
