/** What `restore`, `verify` and `status` say of a store and the multistore in the same home. */
import { cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { makeMultistore } from '../fixtures/multistore.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const fileDir = useTempDir('file');
let base: string;
let snapshots: string;

beforeAll(async () => {
  base = await fileDir();
  snapshots = join(base, 'snapshots');
  await buildStore(join(base, 'store'), tinySpec);
  const from = ['--state-dir', join(base, 'store')];
  await runCli(['retrieve', '--create', ...from, '--snapshot-dir', snapshots]);
});
afterAll(closeReference);

interface Told {
  readonly notes?: readonly string[];
  readonly multistore?: unknown;
  readonly checked?: readonly { readonly check: string; readonly path?: string }[];
  readonly error?: Readonly<Record<string, string>>;
}

async function told(...args: string[]) {
  const { exitCode, json } = await runCli([...args, '--json']);
  return { exitCode, ...(json as Told) };
}

/** A home with a multistore of this height, if any, and a store of height 1000 if `store` says how it came there. */
async function homeWith(height?: number, store?: 'restored' | 'its own'): Promise<string> {
  const home = await fileDir();
  await mkdir(join(home, 'data'));
  if (height !== undefined) await makeMultistore(home, height);
  if (store !== undefined) {
    const S = join(home, 'data', 'agoric');
    await cp(join(base, 'store'), S, { recursive: true });
    const db = openDatabase(join(S, 'swingstore.sqlite'));
    db.exec(`DELETE FROM kvStore WHERE key = 'host.chainSends'`);
    if (store === 'its own') db.exec(`INSERT INTO kvStore VALUES ('host.chainSends', '[]')`);
    db.close();
  }
  return home;
}

const isOf = (home: string, height: number, relation: string, by: number, start: string) => ({
  path: join(home, 'data', 'application.db'),
  ...{ height, relation, by, start },
});

describe('restore', () => {
  it.each([
    [999, 'ahead of', 'destroys', /1 ahead of its multistore: a start destroys the multistore/u],
    [990, 'ahead of', 'stops', /10 ahead of its multistore: a start stops .*from 1000 to 991/u],
    [1026, 'behind', 'stops', /26 behind its multistore: a start stops .*from 1000 to 1027/u],
  ])(
    'refuses a multistore of height %d: the store would be %s it, and a start %s',
    async (height, _, start, message) => {
      const home = await homeWith(height);
      const before = await listTree(home);
      for (const check of [[], ['--check']]) {
        const { exitCode, error } = await told('restore', snapshots, '--home', home, ...check);
        expect(exitCode).toBe(3);
        expect(error).toMatchObject({
          code: 'UNPAIRED',
          message: expect.stringMatching(message) as string,
          path: join(home, 'data', 'application.db'),
          expected: 'a multistore of height 1000',
          found: `height ${height}`,
        });
        const other = `swingsnap restore ${snapshots} --height ${height} --home ${home}`;
        expect(error?.['hint']).toContain('put the multistore of height 1000 in place first');
        expect(error?.['hint']).toContain(other);
        expect(error?.['hint']).toContain('--unpaired');
      }
      expect(await listTree(home)).toEqual(before);

      const check = await told('restore', snapshots, '--home', home, '--unpaired', '--check');
      expect(check).toMatchObject({
        exitCode: 0,
        notes: [expect.stringMatching(/^unpaired, as asked/u)],
      });
      const unpaired = await told('restore', snapshots, '--home', home, '--unpaired');
      expect(unpaired).toMatchObject({
        exitCode: 0,
        notes: [expect.stringMatching(/^unpaired, as asked: multistore: height/u)],
        multistore: { height, start },
      });
    },
  );

  it('says that the pair is one, in text, in JSON and with --check', async () => {
    const home = await homeWith(1000);
    const { checked } = await told('restore', snapshots, '--home', home, '--check');
    expect(checked).toContainEqual({
      check: 'multistore: height 1000, the same as the store: a start goes on with block 1001',
      path: join(home, 'data', 'application.db'),
    });
    const text = await runCli(['restore', snapshots, '--home', home]);
    expect(text.stdout).toContain(
      '  multistore   height 1000, the same as the store: a start goes on with block 1001\n',
    );
    const again = await told('restore', snapshots, '--home', home, '--replace');
    expect(again).toMatchObject({
      exitCode: 0,
      notes: [],
      multistore: isOf(home, 1000, 'same', 0, 'continues'),
    });
  });

  it('compares what is restored, not what is there now', async () => {
    const home = await homeWith(999, 'its own');
    const replaced = await told('restore', snapshots, '--home', home, '--replace');
    expect(replaced).toMatchObject({ exitCode: 3, error: { code: 'UNPAIRED' } });
    expect(await readdir(join(home, 'data', 'agoric'))).toEqual(['swingstore.sqlite']);
  });

  it('refuses a running node before it looks at the multistore', async () => {
    const home = await homeWith(999, 'its own');
    const db = openDatabase(join(home, 'data', 'agoric', 'swingstore.sqlite'));
    db.exec('BEGIN; SELECT 1 FROM kvStore');
    const replaced = await told('restore', snapshots, '--home', home, '--replace');
    db.close();
    expect(replaced).toMatchObject({ exitCode: 4, error: { code: 'STORE_OPEN' } });
  });

  it('goes on with a note if there is no multistore, or an empty one', async () => {
    const without = await told('restore', snapshots, '--home', await homeWith());
    expect(without).toMatchObject({
      exitCode: 0,
      notes: [expect.stringMatching(/no data\/application.db: .* not compared/u)],
    });
    expect(without).not.toHaveProperty('multistore');
    const empty = await told('restore', snapshots, '--home', await homeWith(0));
    expect(empty).toMatchObject({
      exitCode: 0,
      notes: [expect.stringMatching(/no committed height: .* not compared/u)],
    });
  });

  it('compares nothing with --state-dir', async () => {
    const home = await homeWith(999);
    const S = ['--state-dir', join(home, 'data', 'agoric')];
    const restored = await told('restore', snapshots, ...S);
    expect(restored).toMatchObject({ exitCode: 0, notes: [] });
    expect(restored).not.toHaveProperty('multistore');
  });
});

describe.each([
  ['status', (home: string) => ['status', '--home', home]],
  ['verify', (home: string) => ['verify', snapshots, '--home', home]],
] as const)('%s', (_, command) => {
  it.each([
    [1000, 'restored', 'same', 0, 'continues', /height 1000, the same as the store/u],
    [
      999,
      'restored',
      'ahead',
      1,
      'destroys',
      /height 999, the store is ahead by 1: a start destroys/u,
    ],
    [
      999,
      'its own',
      'ahead',
      1,
      'recovers',
      /height 999, the store is ahead by 1: a start recovers/u,
    ],
    [1030, 'its own', 'behind', 30, 'stops', /from 1000 to 1031/u],
  ] as const)(
    'says of a multistore of %d beside a store that is %s: %s by %d, a start %s',
    async (height, store, relation, by, start, text) => {
      const home = await homeWith(height, store);
      const { exitCode, multistore, notes } = await told(...command(home));
      expect(exitCode).toBe(0);
      expect(multistore).toEqual(isOf(home, height, relation, by, start));
      expect(notes).toEqual([]);
      expect((await runCli([...command(home)])).stdout).toMatch(
        new RegExp(`^ +multistore:? +.*${text.source}`, 'mu'),
      );
    },
  );

  it('has a note if there is no multistore', async () => {
    const { exitCode, notes, ...rest } = await told(
      ...command(await homeWith(undefined, 'restored')),
    );
    expect(exitCode).toBe(0);
    expect(notes).toEqual([expect.stringMatching(/no data\/application.db: .* not compared/u)]);
    expect(rest).not.toHaveProperty('multistore');
  });
});
