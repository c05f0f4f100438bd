/** State dirs that were made to cause harm when they are read. None of it may happen. */
import { execFile, spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSwingStore } from '../../../../src/formats/swing-store/read/open.ts';
import { openDatabase, type Database } from '../../../../src/io/sqlite.ts';
import { cutOff, nameSuperJournal } from '../../../fixtures/cut-off-store.ts';
import { listTree, useTempDir } from '../../../fixtures/directories.ts';
import { buildStore, closeReference } from '../../../fixtures/reference.ts';
import { tinySpec } from '../../../fixtures/specs.ts';

const runPath = fileURLToPath(new URL('../../../../bin/run.js', import.meta.url));

/** Runs in its own process: one that waits inside SQLite or for a pipe reacts only to SIGKILL. */
async function runOrKill(...args: string[]): Promise<{ exitCode: unknown; json: unknown }> {
  return new Promise((resolve) => {
    const options = { timeout: 20_000, killSignal: 'SIGKILL' } as const;
    execFile(process.execPath, [runPath, ...args, '--json'], options, (error, stdout) => {
      const json: unknown = stdout.startsWith('{') ? JSON.parse(stdout) : undefined;
      resolve({ exitCode: error === null ? 0 : error.code, json });
    });
  });
}

const fileDir = useTempDir('file');
let honest: string;

beforeAll(async () => {
  honest = join(await fileDir(), 'S');
  await buildStore(honest, tinySpec);
});
afterAll(closeReference);

/** A copy of an honest store, to be spoiled. */
async function place() {
  const dir = await fileDir();
  const S = join(dir, 'S');
  await cp(honest, S, { recursive: true });
  const scratch = join(dir, 'scratch');
  await mkdir(scratch);
  return { dir, S, scratch, db: join(S, 'swingstore.sqlite') };
}

async function readAll(S: string, scratchDir: string): Promise<string> {
  const note = (): void => undefined;
  const store = await openSwingStore(S, { artifactMode: 'debug', scratchDir, note });
  try {
    let text = '';
    for await (const block of store.exportData()) text += Buffer.from(block).toString();
    return text;
  } finally {
    await store.close();
  }
}

describe('a journal that names a super-journal', () => {
  it('is refused with the reason, removes no file, and leaves no copy', async () => {
    const { dir, S, scratch, db } = await place();
    const expected = await readAll(S, scratch);
    const victim = join(dir, 'victim');
    await writeFile(victim, 'precious');
    await cutOff(S);
    // Before it names a super-journal, the journal of the cut-off transaction is rolled back in a copy.
    expect(await readAll(S, scratch)).toBe(expected);

    await nameSuperJournal(S, victim);
    const before = await listTree(S);
    const refusal: unknown = await readAll(S, scratch).catch((error: unknown) => error);
    expect(await readFile(victim, 'utf8')).toBe('precious');
    expect(refusal).toMatchObject({
      code: 'SUPER_JOURNAL',
      exitCode: 3,
      path: `${db}-journal`,
      hint: expect.stringContaining('--state-dir') as unknown,
    });
    expect(await listTree(S)).toEqual(before);
    expect(await listTree(scratch)).toEqual({});
  });
});

describe('an object in the place of a side file', () => {
  it.each(['-wal', '-shm', '-journal'])(
    'is refused without waiting if it is a pipe: %s',
    async (suffix) => {
      const { S, scratch, db } = await place();
      expect(spawnSync('mkfifo', [db + suffix]).status).toBe(0);
      const before = await listTree(S);
      const args = ['export', '--state-dir', S, '--export-dir', join(scratch, 'E')];
      expect(await runOrKill(...args)).toMatchObject({
        exitCode: 3,
        json: { error: { code: 'SIDE_FILE', path: db + suffix } },
      });
      expect(await listTree(S)).toEqual(before);
      expect(await listTree(scratch)).toEqual({});
    },
  );

  it.each(['-wal', '-shm', '-journal'])(
    'is refused without creating the target if it is a link: %s',
    async (suffix) => {
      const { dir, S, scratch, db } = await place();
      await symlink(join(dir, 'elsewhere'), db + suffix);
      await expect(readAll(S, scratch)).rejects.toMatchObject({ code: 'SIDE_FILE', exitCode: 3 });
      expect(Object.keys(await listTree(dir))).not.toContain('elsewhere');
    },
  );
});

/** A recursive query with these columns; it never ends unless `count` limits it. */
function endless(columns: string, count: string): string {
  return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n ${count})
          SELECT ${columns} FROM n`;
}

const COLUMNS = {
  kvStore: ['key', 'value'],
  transcriptItems: ['vatID', 'position', 'item', 'incarnation'],
  transcriptSpans: ['vatID', 'startPos', 'endPos', 'hash', 'isCurrent', 'incarnation'],
  snapshots: [
    'vatID',
    'snapPos',
    'inUse',
    'hash',
    'uncompressedSize',
    'compressedSize',
    'compressedSnapshot',
  ],
  bundles: ['bundleID', 'bundle'],
} as const;
type Table = keyof typeof COLUMNS;

/** Puts a view in the place of a table, with all of its columns. */
function putView(db: Database, table: Table, count = 'LIMIT 1000'): void {
  const columns = COLUMNS[table].map((column) => `i AS ${column}`).join(', ');
  db.exec(`DROP TABLE ${table}; CREATE VIEW ${table} AS ${endless(columns, count)}`);
}

const schemas: Record<string, (db: Database) => void> = {
  'a generated column': (db) => {
    db.exec(`ALTER TABLE kvStore RENAME TO other;
      CREATE TABLE kvStore (key TEXT, v TEXT, value TEXT AS (v || hex(zeroblob(1000))), PRIMARY KEY (key));
      INSERT INTO kvStore SELECT key, value FROM other`);
  },
  'a virtual table': (db) => {
    db.exec('DROP TABLE kvStore; CREATE VIRTUAL TABLE kvStore USING fts5(key, value)');
  },
  'a table without its primary key': (db) => {
    db.exec('ALTER TABLE bundles RENAME TO other; CREATE TABLE bundles AS SELECT * FROM other');
  },
};

describe('a database that has other objects in place of plain tables', () => {
  async function refused(spoil: (db: Database) => void): Promise<unknown> {
    const { S, scratch, db } = await place();
    const writer = openDatabase(db);
    spoil(writer);
    writer.close();
    const before = await listTree(S);
    const error = await readAll(S, scratch).catch((refusal: unknown) => refusal);
    expect(Object.keys(await listTree(S)).filter((name) => !name.includes('-'))).toEqual(
      Object.keys(before).filter((name) => !name.includes('-')),
    );
    expect(await listTree(scratch)).toEqual({});
    return error;
  }

  it.each(Object.keys(COLUMNS) as Table[])(
    'is refused before it is read: a view %s',
    async (table) => {
      expect(
        await refused((db) => {
          putView(db, table);
        }),
      ).toMatchObject({ code: 'NOT_A_STORE', exitCode: 3, found: `no table ${table}` });
    },
  );

  it.each(Object.keys(schemas))('is refused before it is read: %s', async (name) => {
    expect(await refused(schemas[name] ?? (() => undefined))).toMatchObject({
      code: 'NOT_A_STORE',
      exitCode: 3,
    });
  });

  it('does not keep a command busy with an endless view kvStore', async () => {
    const { S, scratch, db } = await place();
    const writer = openDatabase(db);
    putView(writer, 'kvStore', '');
    writer.close();
    const args = [
      'retrieve',
      '--create',
      '--state-dir',
      S,
      '--snapshot-dir',
      scratch,
      '--max-time',
      '5s',
    ];
    expect(await runOrKill(...args)).toMatchObject({
      exitCode: 3,
      json: { error: { code: 'NOT_A_STORE' } },
    });
    expect(await listTree(scratch)).toEqual({});
  });

  it('is read if only objects and columns that we do not read are unusual', async () => {
    const { S, scratch, db } = await place();
    const expected = await readAll(S, scratch);
    const writer = openDatabase(db);
    writer.exec(`CREATE VIEW "host.height" AS ${endless('i', '')};
      CREATE TABLE more (key TEXT);
      ALTER TABLE bundles ADD COLUMN more AS (hex(bundle));
      ALTER TABLE kvStore RENAME TO "it's"; ALTER TABLE "it's" RENAME TO kvStore`);
    writer.close();
    expect(await readAll(S, scratch)).toBe(expected);
  });
});
