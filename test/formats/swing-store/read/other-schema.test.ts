/** Stores of another schema or encoding: they are read as the reference reads them, or refused with the reason. */
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCHEMA } from '../../../../src/formats/swing-store/layout.ts';
import { PinnedStore } from '../../../../src/formats/swing-store/read/pinned-store.ts';
import { openDatabase } from '../../../../src/io/sqlite.ts';
import { listTree, useTempDir } from '../../../fixtures/directories.ts';
import {
  buildStore,
  closeReference,
  referenceExport,
  ReferenceRefusal,
} from '../../../fixtures/reference.ts';
import { runCli } from '../../../fixtures/run-cli.ts';
import { tinySpec } from '../../../fixtures/specs.ts';

const fileDir = useTempDir('file');
let honest: string;
/** A snapshot of the honest store. */
let snapshot: string;

beforeAll(async () => {
  const dir = await fileDir();
  [honest, snapshot] = [join(dir, 'S'), join(dir, 'D')];
  await buildStore(honest, tinySpec);
  const args = [
    'retrieve',
    '--create',
    '--create',
    '--state-dir',
    honest,
    '--snapshot-dir',
    snapshot,
    '--json',
  ];
  expect(await runCli(args)).toMatchObject({ exitCode: 0 });
  await rm(`${honest}/swingstore.sqlite-shm`, { force: true });
  await rm(`${honest}/swingstore.sqlite-wal`, { force: true });
});
afterAll(closeReference);

/** A copy of the honest store, changed by `sql`. */
async function changed(sql: string) {
  const dir = await fileDir();
  const at = (name: string): string => join(dir, name);
  await cp(honest, at('S'), { recursive: true });
  openDatabase(join(at('S'), 'swingstore.sqlite'))
    .exec(sql)
    .close();
  return at;
}

type At = Awaited<ReturnType<typeof changed>>;

/** What each command that reads a live store says to it. */
const commands: Record<string, (at: At) => string[]> = {
  export: (at) => ['export', '--state-dir', at('S'), '--export-dir', at('E')],
  retrieve: (at) => ['retrieve', '--create', '--state-dir', at('S'), '--snapshot-dir', at('D')],
  'retrieve --check': (at) => [
    'retrieve',
    '--create',
    '--state-dir',
    at('S'),
    '--snapshot-dir',
    at('D'),
    '--check',
  ],
  verify: (at) => ['verify', snapshot, '--state-dir', at('S')],
};

async function expectRefusals(at: At, error: Record<string, unknown>): Promise<void> {
  for (const [name, wordsOf] of Object.entries(commands)) {
    const { exitCode, json } = await runCli([...wordsOf(at), '--json']);
    const path = join(at('S'), 'swingstore.sqlite');
    expect({ name, exitCode, json }).toMatchObject({
      name,
      exitCode: 3,
      json: { error: { code: 'NOT_A_STORE', path, hint: expect.any(String) as unknown, ...error } },
    });
    expect((await readdir(at('.'))).sort()).toEqual(['S']);
  }
}

describe('a store without a table', () => {
  it.each(
    [
      ['bundles'],
      ['snapshots'],
      ['transcriptItems', 'transcriptSpans'],
      ['bundles', 'snapshots', 'transcriptItems', 'transcriptSpans'],
    ].map((tables) => ({ tables, names: tables.join(', ') })),
  )('is exported as the reference exports it, with a note: $names', async ({ tables }) => {
    const at = await changed(tables.map((table) => `DROP TABLE ${table};`).join(' '));
    const before = await listTree(at('S'));
    const { exitCode, json } = await runCli([...(commands['export']?.(at) ?? []), '--json']);
    expect({ exitCode, json }).toMatchObject({
      exitCode: 0,
      json: { notes: [expect.stringMatching(/^swingstore\.sqlite has no table /u)] },
    });
    expect(await listTree(at('S'))).toMatchObject(before);
    await mkdir(at('R'));
    await cp(at('S'), at('judged'), { recursive: true });
    await referenceExport(at('judged'), at('R'));
    const { '.swingsnap-operation.json': _, ...files } = await listTree(at('E'));
    expect(files).toEqual(await listTree(at('R')));

    expect(await runCli(commands['retrieve']?.(at) ?? [])).toMatchObject({ exitCode: 0 });
    for (const source of [at('D'), at('E')]) {
      const args = ['verify', source, '--state-dir', at('S')];
      expect(await runCli(args)).toMatchObject({ exitCode: 0 });
    }
    const args = ['restore', at('D'), '--state-dir', at('restored')];
    expect(await runCli(args)).toMatchObject({ exitCode: 0 });
    expect(await runCli(['verify', at('D'), '--state-dir', at('restored')])).toMatchObject({
      exitCode: 0,
    });
  });

  it('is read with the table that a newer node has made since', async () => {
    const at = await changed('DROP TABLE bundles');
    const { scratchDir, note } = { scratchDir: at('.'), note: () => undefined };
    const store = await PinnedStore.open(at('S'), { scratchDir, note });
    const count = (): unknown => store.db.prepare('SELECT count(*) FROM bundles').pluck().get();
    expect(count()).toBe(0);
    store.unpin();
    expect(count()).toBe(0);
    const node = openDatabase(join(at('S'), 'swingstore.sqlite'));
    node.exec(`CREATE TABLE bundles (bundleID TEXT, bundle BLOB, PRIMARY KEY (bundleID));
      INSERT INTO bundles VALUES ('b1-00', x'00')`);
    store.pin();
    expect(count()).toBe(1);
    node.close();
    await store.close();
  });

  it('is exported with the tables that are there, whatever the case of their names', async () => {
    const at = await changed(
      'ALTER TABLE bundles RENAME TO x; ALTER TABLE x RENAME TO BUNDLES; DROP TABLE snapshots',
    );
    expect(await runCli(commands['export']?.(at) ?? [])).toMatchObject({ exitCode: 0 });
    await mkdir(at('R'));
    await referenceExport(at('S'), at('R'));
    const { '.swingsnap-operation.json': _, ...files } = await listTree(at('E'));
    expect(files).toEqual(await listTree(at('R')));
  });

  it('is refused by all commands if that is kvStore', async () => {
    await expectRefusals(await changed('DROP TABLE kvStore'), {
      found: 'no table kvStore',
    });
  });
});

describe('a store without a column', () => {
  it.each([
    ['transcriptSpans', 'incarnation'],
    ['transcriptItems', 'incarnation'],
    ['transcriptSpans', 'hash'],
    ['snapshots', 'compressedSize'],
    ['bundles', 'bundle'],
    ['kvStore', 'value'],
  ])(
    'is refused by all commands with the name of both, as by the reference: %s.%s',
    async (table, column) => {
      const at = await changed(
        `ALTER TABLE ${table} DROP COLUMN ${column}; PRAGMA user_version = 7`,
      );
      await expectRefusals(at, {
        found: `no column ${column} in table ${table} (user_version 7)`,
        expected: expect.stringContaining('@agoric/swing-store') as unknown,
      });
      await mkdir(at('R'));
      await expect(referenceExport(at('S'), at('R'))).rejects.toThrow(ReferenceRefusal);
    },
  );
});

describe('a store whose text is UTF-16', () => {
  it.each(['UTF-16le', 'UTF-16be'])('is refused by all commands: %s', async (encoding) => {
    const dir = await fileDir();
    const at = (name: string): string => join(dir, name);
    await mkdir(at('S'));
    const db = openDatabase(join(at('S'), 'swingstore.sqlite'));
    db.pragma(`encoding = '${encoding}'`);
    db.pragma('journal_mode = WAL');
    db.exec(SCHEMA);
    const rows = openDatabase(join(honest, 'swingstore.sqlite'));
    const copy = db.prepare('INSERT INTO kvStore VALUES (?, ?)');
    for (const row of rows.prepare('SELECT key, value FROM kvStore').raw().all()) {
      copy.run(row);
    }
    rows.close();
    db.close();
    await expectRefusals(at, { found: encoding });
  });

  it('is not made by restore', async () => {
    const dir = await fileDir();
    const args = ['restore', snapshot, '--state-dir', join(dir, 'S')];
    expect(await runCli(args)).toMatchObject({ exitCode: 0 });
    const db = openDatabase(join(dir, 'S', 'swingstore.sqlite'));
    expect(db.pragma('encoding', { simple: true })).toBe('UTF-8');
    db.close();
  });
});
