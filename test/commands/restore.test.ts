import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  cp,
  link,
  lstat,
  mkdir,
  readFile,
  realpath,
  rename,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { emptySpec, tinySpec } from '../fixtures/specs.ts';
import { holdDatabase, isRoot } from './surroundings.ts';

const fileDir = useTempDir('file');
const DATABASE = 'swingstore.sqlite';

/** Read-only: `store`, `D/1000`, `D/900`, and the content hash of `D/1000`. */
let base: string;
let contentHash: string;
const snapshots = (): string => join(base, 'D');

interface Told {
  readonly height: number;
  readonly proved: string;
  readonly source: string;
  readonly artifactMode: string;
  readonly replaced?: { readonly movedTo: string; linkedTo?: string; readonly undo: string };
  readonly contentHash: string;
  readonly error?: {
    code: string;
    path?: string;
    found?: string;
    expected?: string;
    hint?: string;
  };
}

async function told(...args: string[]) {
  const { exitCode, stderr, json } = await runCli([...args, '--json']);
  return { exitCode, stderr, ...(json as Told) };
}

beforeAll(async () => {
  base = await fileDir();
  const store = join(base, 'store');
  await buildStore(store, tinySpec);
  // A reader leaves a -shm, so the store that tests copy is not read.
  await cp(store, join(base, 'read'), { recursive: true });
  const retrieve = [
    'retrieve',
    '--create',
    '--state-dir',
    join(base, 'read'),
    '--snapshot-dir',
    snapshots(),
  ];
  ({ contentHash } = await told(...retrieve));
  await cp(store, join(base, 'older'), { recursive: true });
  const sql = openDatabase(join(base, 'older', DATABASE));
  sql.exec(`UPDATE kvStore SET value = '900' WHERE key = 'host.height'`);
  sql.close();
  await told(
    'retrieve',
    '--create',
    '--state-dir',
    join(base, 'older'),
    '--snapshot-dir',
    snapshots(),
  );
});
afterAll(closeReference);

/** A state dir with an existing store. */
async function occupied({ wal = false } = {}) {
  const dir = await fileDir();
  const S = join(dir, 'S');
  await cp(join(base, 'store'), S, { recursive: true });
  const db = join(S, DATABASE);
  if (wal) {
    const writer = openDatabase(db);
    writer.exec(`UPDATE kvStore SET value = '1001' WHERE key = 'host.height'`);
    await cp(S, join(dir, 'killed'), { recursive: true });
    writer.close();
    await rename(S, join(dir, 'other'));
    await rename(join(dir, 'killed'), S);
  }
  return { dir, S, db };
}

describe.concurrent('restore', () => {
  it('ends its output with what is proved and the height of the multistore', async () => {
    const S = join(await fileDir(), 'S');
    const { stdout, exitCode } = await runCli(['restore', snapshots(), '--state-dir', S]);
    expect(exitCode).toBe(0);
    expect(stdout.trimEnd().split('\n').slice(-2)).toEqual([
      'proved: nothing',
      'this store belongs beside a Cosmos multistore of exactly height 1000',
    ]);
  });

  it('takes the highest height by number, and any other by its path or by --height', async () => {
    const [one, two] = [join(await fileDir(), 'S'), join(await fileDir(), 'S')];
    expect(await told('restore', snapshots(), '--state-dir', one)).toMatchObject({
      height: 1000,
      source: join(snapshots(), '1000'),
    });
    expect(
      await told('restore', join(snapshots(), '900'), '--state-dir', two, '--height', '900'),
    ).toMatchObject({ exitCode: 0, height: 900 });
    const three = join(await fileDir(), 'S');
    expect(
      await told('restore', snapshots(), '--state-dir', three, '--height', '900'),
    ).toMatchObject({ exitCode: 0, height: 900, source: join(snapshots(), '900') });
  });

  it('leaves one file that the reference opens, in WAL mode and owned like its directory', async () => {
    const S = join(await fileDir(), 'S');
    await mkdir(S);
    await chmod(S, 0o750);
    if (isRoot) await chown(S, 65_534, 65_534);
    const expect_ = ['--expect', contentHash, '--require-proof', '--paranoid'];
    const result = await told('restore', snapshots(), '--state-dir', S, ...expect_);
    expect(result).toMatchObject({ exitCode: 0, proved: 'expected hash', height: 1000 });
    expect(Object.keys(await listTree(S))).toEqual([DATABASE]);
    const found = await stat(join(S, DATABASE));
    const directory = await stat(S);
    expect([found.uid, found.gid, found.mode & 0o777]).toEqual([
      directory.uid,
      directory.gid,
      0o640,
    ]);
    expect([...(await readFile(join(S, DATABASE))).subarray(18, 20)]).toEqual([2, 2]);
    const E = await fileDir();
    expect(await referenceExport(S, E)).toMatchObject({ blockHeight: 1000 });
  });

  it.each([
    ['0777', 0o777, 0o664],
    ['01777', 0o1777, 0o664],
    ['0775', 0o775, 0o664],
    ['0700', 0o700, 0o600],
  ])(
    'gives others no write permission, even in a directory of mode %s',
    async (_, mode, expected) => {
      const S = join(await fileDir(), 'S');
      await mkdir(S);
      await chmod(S, mode);
      expect((await told('restore', snapshots(), '--state-dir', S)).exitCode).toBe(0);
      expect((await stat(join(S, DATABASE))).mode & 0o7777).toBe(expected);
    },
  );

  it('reports a missing source with exit code 5, and creates nothing', async () => {
    const dir = await fileDir();
    await mkdir(join(dir, 'empty'));
    await mkdir(join(dir, 'words', 'not-a-height'), { recursive: true });
    await writeFile(join(dir, 'file'), '');
    const before = await listTree(dir);
    for (const name of ['missing', 'empty', 'words', 'file']) {
      const { exitCode, error } = await told(
        'restore',
        join(dir, name),
        '--state-dir',
        join(dir, 'S'),
      );
      expect({ name, exitCode }).toEqual({ name, exitCode: 5 });
      expect(error).toMatchObject({ path: join(dir, name), hint: expect.any(String) as string });
    }
    expect(await listTree(dir)).toEqual(before);
  });

  it('leaves nothing if the hash, the height or the mode is not the requested one', async () => {
    const dir = await fileDir();
    const S = join(dir, 'S');
    const restore = ['restore', snapshots(), '--state-dir', S];
    expect(await told(...restore, '--expect', '0'.repeat(64))).toMatchObject({
      exitCode: 3,
      error: { expected: '0'.repeat(64), found: contentHash },
    });
    expect(await told(...restore, '--height', '999')).toMatchObject({
      exitCode: 5,
      error: { code: 'HEIGHT', expected: 999, found: '1000, 900' },
    });
    expect(await told(...restore, '--artifact-mode', 'archival')).toMatchObject({
      exitCode: 1,
      error: { code: 'MODE', expected: 'archival', found: 'operational' },
    });
    expect(await told(...restore, '--require-proof')).toMatchObject({ exitCode: 2 });
    expect(await listTree(dir)).toEqual({});
  });

  it('leaves nothing of a damaged source, and keeps an existing state dir', async () => {
    const dir = await fileDir();
    const D = join(dir, 'D');
    await cp(join(snapshots(), '1000'), D, { recursive: true });
    const chunk = Object.keys(await listTree(D))
      .filter((name) => name.endsWith('.tar.zst'))
      .at(-1);
    const bytes = await readFile(join(D, chunk ?? ''));
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    await writeFile(join(D, chunk ?? ''), bytes);
    const S = join(dir, 'S');
    await mkdir(S);
    await writeFile(join(S, 'other'), 'stays');
    const before = await listTree(dir);
    expect(await told('restore', D, '--state-dir', S)).toMatchObject({ exitCode: 3 });
    expect(await told('restore', D, '--state-dir', join(dir, 'S2'))).toMatchObject({
      exitCode: 3,
    });
    expect(await listTree(dir)).toEqual(before);
  });

  it('restores archival and replay from an archival snapshot, and everything by default', async () => {
    const dir = await fileDir();
    const D = join(dir, 'D');
    await told(
      'retrieve',
      '--create',
      '--state-dir',
      join(base, 'read'),
      '--snapshot-dir',
      D,
      '--artifact-mode',
      'archival',
    );
    const restore = (name: string, ...more: string[]) =>
      told('restore', D, '--state-dir', join(dir, name), ...more);
    expect(await restore('default')).toMatchObject({ artifactMode: 'archival' });
    expect(await restore('replay', '--artifact-mode', 'replay')).toMatchObject({
      artifactMode: 'replay',
    });
    expect(await restore('small', '--artifact-mode', 'operational')).toMatchObject({
      artifactMode: 'operational',
    });
    const verify = (name: string) =>
      told('verify', D, '--state-dir', join(dir, name), '--artifact-mode', 'archival');
    expect(await verify('default')).toMatchObject({ exitCode: 0, store: { onlyInStore: 0 } });
    expect(await verify('small')).toMatchObject({ exitCode: 3, error: { code: 'STORE_DIFFERS' } });
  });

  it('restores an export that has only keys, and a new store', async () => {
    const dir = await fileDir();
    await buildStore(join(dir, 'empty'), emptySpec);
    const sql = openDatabase(join(dir, 'empty', DATABASE));
    sql.exec(`INSERT INTO kvStore VALUES ('only', 'key')`);
    sql.close();
    const E = join(dir, 'E');
    await told('export', '--state-dir', join(dir, 'empty'), '--export-dir', E);
    expect(await told('restore', E, '--state-dir', join(dir, 'S'))).toMatchObject({
      exitCode: 0,
      height: 0,
      form: 'export directory',
    });
    const copy = openDatabase(join(dir, 'S', DATABASE), { readonly: true });
    const keys = copy.prepare(`SELECT key, value FROM kvStore ORDER BY key`).raw().all();
    copy.close();
    expect(keys).toEqual([
      ['host.height', '0'],
      ['only', 'key'],
    ]);
  });
});

describe.concurrent('restore over an existing store', () => {
  it.each(['', '-wal', '-shm', '-journal', '.bak'])(
    'refuses and changes nothing if swingstore.sqlite%s exists',
    async (suffix) => {
      const S = await fileDir();
      await writeFile(join(S, DATABASE + suffix), 'old');
      const before = await listTree(S);
      const { exitCode, error } = await told('restore', snapshots(), '--state-dir', S);
      expect({ exitCode, error }).toMatchObject({
        exitCode: 1,
        error: { code: 'STORE_EXISTS', found: DATABASE + suffix },
      });
      expect(error?.hint).toContain('--replace');
      expect(await listTree(S)).toEqual(before);
    },
  );

  it.each([false, true])(
    'moves it aside with --replace, and the printed command brings it back (-wal left: %s)',
    async (wal) => {
      const { S } = await occupied({ wal });
      await writeFile(join(S, 'other'), 'stays');
      const before = await listTree(S);
      expect(Object.keys(before)).toHaveLength(wal ? 4 : 2);
      const result = await told('restore', snapshots(), '--state-dir', S, '--replace');
      expect(result).toMatchObject({ exitCode: 0, height: 1000 });
      expect(result.replaced?.movedTo).toMatch(/\/before-1000-\d{8}T\d{6}Z$/u);
      const { other, ...store } = before;
      expect(other).toBeDefined();
      expect(await listTree(result.replaced?.movedTo ?? '')).toEqual(store);
      expect((await stat(join(S, DATABASE))).nlink).toBe(1);
      // As a node started on the new store would.
      openDatabase(join(S, DATABASE)).exec('DELETE FROM kvStore').close();
      execFileSync('sh', ['-ec', result.replaced?.undo ?? 'false']);
      expect(await listTree(S)).toEqual(before);
    },
  );

  it.each([
    ['database', 'relative'],
    ['database', 'absolute'],
    ['state dir', 'relative'],
    ['state dir', 'absolute'],
  ])('brings back an old store whose %s is a link (%s)', async (what, kind) => {
    const { dir, S: disk } = await occupied({ wal: true });
    const S = join(dir, 'home', 'agoric');
    await mkdir(join(dir, 'home'));
    if (what === 'state dir') await symlink(kind === 'relative' ? '../S' : disk, S);
    else {
      await mkdir(S);
      await symlink(
        join(kind === 'relative' ? join('..', '..', 'S') : disk, DATABASE),
        join(S, DATABASE),
      );
    }
    const before = await listTree(dir);
    const result = await told('restore', snapshots(), '--state-dir', S, '--replace');
    expect(result).toMatchObject({ exitCode: 0, height: 1000 });
    expect(result.replaced?.linkedTo).toBe(
      what === 'database' ? await realpath(join(disk, DATABASE)) : undefined,
    );
    expect((await lstat(join(S, DATABASE))).isFile()).toBe(true);
    expect(await told('verify', snapshots(), '--state-dir', S)).toMatchObject({ exitCode: 0 });
    openDatabase(join(S, DATABASE)).exec('DELETE FROM kvStore').close();
    execFileSync('sh', ['-ec', result.replaced?.undo ?? 'false']);
    expect(await listTree(dir)).toEqual(before);
    const args = ['export', '--state-dir', S, '--export-dir', join(dir, 'E')];
    expect(await told(...args)).toMatchObject({ exitCode: 0, height: 1001 });
  });

  it('moves aside the remaining files of a store without a database', async () => {
    const { S, db } = await occupied({ wal: true });
    await rename(db, join(S, 'elsewhere'));
    const result = await told('restore', snapshots(), '--state-dir', S, '--replace');
    expect(result.exitCode).toBe(0);
    expect(Object.keys(await listTree(result.replaced?.movedTo ?? ''))).toEqual([
      `${DATABASE}-shm`,
      `${DATABASE}-wal`,
    ]);
    expect(await told('verify', snapshots(), '--state-dir', S)).toMatchObject({ exitCode: 0 });
  });

  it('moves aside a store whose path needs shell quotes', async () => {
    const S = join(await fileDir(), `it's $HOME, "S"`);
    await cp(join(base, 'store'), S, { recursive: true });
    const before = await listTree(S);
    const { replaced } = await told('restore', snapshots(), '--state-dir', S, '--replace');
    execFileSync('sh', ['-ec', replaced?.undo ?? 'false']);
    expect(await listTree(S)).toEqual(before);
  });

  it.each([
    ['in WAL mode', 'SELECT 1', false],
    ['in rollback mode, without any lock', 'PRAGMA journal_mode = DELETE', false],
    ['in WAL mode, by another name of the file', 'SELECT 1', true],
    ['in rollback mode, by another name of the file', 'PRAGMA journal_mode = DELETE', true],
  ])('refuses --replace while a process has the store open %s', async (_, sql, alias) => {
    const { dir, S, db } = await occupied();
    if (alias) await link(db, join(dir, 'alias.sqlite'));
    const holder = await holdDatabase(alias ? join(dir, 'alias.sqlite') : db, sql);
    try {
      const before = await listTree(S);
      const { exitCode, error } = await told('restore', snapshots(), '--state-dir', S, '--replace');
      expect({ exitCode, code: error?.code }).toEqual({ exitCode: 4, code: 'STORE_OPEN' });
      expect(error).toMatchObject({
        path: db,
        hint: expect.stringContaining('stop the node') as string,
      });
      expect(await listTree(S)).toEqual(before);
    } finally {
      await holder.release();
    }
    expect(await told('restore', snapshots(), '--state-dir', S, '--replace')).toMatchObject({
      exitCode: 0,
    });
  });

  it('keeps the old store in place if the new one is wrong', async () => {
    const { S } = await occupied({ wal: true });
    const before = await listTree(S);
    const wrong = ['--replace', '--expect', '0'.repeat(64)];
    expect(await told('restore', snapshots(), '--state-dir', S, ...wrong)).toMatchObject({
      exitCode: 3,
    });
    expect(await listTree(S)).toEqual(before);
  });
});
