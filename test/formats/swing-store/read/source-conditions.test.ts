/** `export` and `retrieve --state-dir` with source stores in all the conditions that they can be in. */
import { chmod, cp, mkdir, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSwingStore } from '../../../../src/formats/swing-store/read/open.ts';
import { openDatabase } from '../../../../src/io/sqlite.ts';
import {
  canMount,
  holdDatabase,
  runIn,
  stranger,
  type Surroundings,
} from '../../../commands/surroundings.ts';
import { listTree, useTempDir } from '../../../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../../../fixtures/reference.ts';
import { runCli } from '../../../fixtures/run-cli.ts';
import { tinySpec } from '../../../fixtures/specs.ts';

const fileDir = useTempDir('file');

/** Stores that are built once, and then only copied. */
let stores: string;
/** The reference's export of `closed`, and of the two stores that still have their `-wal`. */
let expected: Awaited<ReturnType<typeof listTree>>;

beforeAll(async () => {
  stores = await fileDir();
  await buildStore(join(stores, 'closed'), tinySpec);
  await buildStore(join(stores, 'last-commit'), { ...tinySpec, leaveWal: 'last-commit' });
  await buildStore(join(stores, 'everything'), { ...tinySpec, leaveWal: 'everything' });
  await cp(join(stores, 'closed'), join(stores, 'judged'), { recursive: true });
  await mkdir(join(stores, 'export'));
  await referenceExport(join(stores, 'judged'), join(stores, 'export'), {
    artifactMode: 'operational',
  });
  expected = withoutManifest(await listTree(join(stores, 'export')));
});
afterAll(closeReference);

type Tree = Awaited<ReturnType<typeof listTree>>;

function withoutManifest(tree: Tree): Tree {
  const own = new Set(['export-manifest.json', '.swingsnap-operation.json']);
  return Object.fromEntries(Object.entries(tree).filter(([name]) => !own.has(name)));
}

/** The files of a state dir that must not change. SQLite makes a `-shm` and an empty `-wal` for any reader. */
async function unchanging(stateDir: string): Promise<Tree> {
  const entries = Object.entries(await listTree(stateDir));
  return Object.fromEntries(
    entries.filter(
      ([name, { size }]) => !name.endsWith('-shm') && !(name.endsWith('-wal') && size === 0),
    ),
  );
}

/** A new directory with a copy of a store in `S`, and `out` for the output. Other users may read and enter it. */
async function place(kind: 'closed' | 'last-commit' | 'everything' = 'closed') {
  const dir = await fileDir();
  const [S, out] = [join(dir, 'S'), join(dir, 'out')];
  await cp(join(stores, kind), S, { recursive: true });
  await mkdir(out);
  await chmod(dir, 0o755);
  await chmod(out, 0o777);
  return { dir, S, out, db: join(S, 'swingstore.sqlite') };
}

const COMMANDS = ['export', 'retrieve'] as const;

function words(command: (typeof COMMANDS)[number], S: string, out: string): string[] {
  return command === 'export'
    ? ['export', '--state-dir', S, '--export-dir', join(out, 'E'), '--json']
    : ['retrieve', '--create', '--state-dir', S, '--snapshot-dir', join(out, 'D'), '--json'];
}

interface Told {
  readonly notes?: readonly string[];
  readonly height?: number;
  readonly error?: {
    code: string;
    path?: string;
    hint?: string;
    found?: string;
    expected?: string;
  };
}

async function run(
  command: (typeof COMMANDS)[number],
  { S, out }: { S: string; out: string },
  { surroundings = {}, more = [] }: { surroundings?: Surroundings; more?: readonly string[] } = {},
) {
  const args = [...words(command, S, out), ...more];
  const plain = Object.keys(surroundings).length === 0;
  const { exitCode, stderr, json } = await (plain ? runCli(args) : runIn(surroundings, args));
  return { exitCode, stderr, ...(json as Told) };
}

describe.concurrent.each(COMMANDS)('%s of a store that does not exist', (command) => {
  it('fails and changes nothing if the store or the state dir is missing, or is of another type', async () => {
    const dir = await fileDir();
    const out = join(dir, 'out');
    await mkdir(out);
    await mkdir(join(dir, 'empty'));
    await writeFile(join(dir, 'file'), 'not a directory');
    await mkdir(join(dir, 'odd', 'swingstore.sqlite'), { recursive: true });
    const before = await listTree(dir);
    for (const name of ['empty', 'missing', 'file', 'odd']) {
      const { exitCode, error } = await run(command, { S: join(dir, name), out });
      expect({ name, exitCode, code: error?.code }).toEqual({
        name,
        exitCode: 5,
        code: 'STORE_MISSING',
      });
      expect(error?.path).toBe(join(dir, name, 'swingstore.sqlite'));
      expect(error?.hint).toContain('--state-dir');
    }
    expect(await listTree(dir)).toEqual(before);
  });
});

describe.concurrent('a file that is not a store', () => {
  const damages: Record<string, (db: string) => Promise<void>> = {
    'not a database': (db) => writeFile(db, 'x'.repeat(10_000)),
    'a database with other tables': async (db) => {
      await truncate(db, 0);
      openDatabase(db).exec('CREATE TABLE kvStore (key, value)').close();
    },
    'a database cut in half': async (db) => truncate(db, (await stat(db)).size / 2),
    'a database cut in its first page': (db) => truncate(db, 1000),
    'an empty file': (db) => truncate(db, 0),
  };
  it.each(Object.keys(damages))(
    'is refused with exit code 3, and no file is made: %s',
    async (name) => {
      const { S, out, db } = await place();
      await damages[name]?.(db);
      const before = await unchanging(S);
      for (const command of COMMANDS) {
        const { exitCode, error } = await run(command, { S, out });
        expect(exitCode).toBe(3);
        expect(error?.hint).toBeTypeOf('string');
      }
      expect(await unchanging(S)).toEqual(before);
      expect(await listTree(out)).toEqual({});
    },
  );

  it('keeps its -wal and its -journal if it is empty', async () => {
    const { S, db } = await place('last-commit');
    await truncate(db, 0);
    await writeFile(`${db}-journal`, 'whatever');
    const before = await listTree(S);
    const refusal = openSwingStore(S, {
      artifactMode: 'operational',
      scratchDir: S,
      note: () => undefined,
    });
    await expect(refusal).rejects.toMatchObject({ code: 'NOT_A_STORE', found: 'an empty file' });
    expect(await listTree(S)).toEqual(before);
  });
});

describe.concurrent('a store that was not closed', () => {
  it.each(['last-commit', 'everything'] as const)(
    'is exported with the commits in its -wal, with a note and without changing a byte (%s)',
    async (kind) => {
      const { S, out } = await place(kind);
      const before = await unchanging(S);
      const { exitCode, height, notes } = await run('export', { S, out });
      expect({ exitCode, height }).toEqual({ exitCode: 0, height: tinySpec.height });
      expect(withoutManifest(await listTree(join(out, 'E')))).toEqual(expected);
      expect(notes).toEqual([expect.stringMatching(/^swingstore.sqlite-wal holds \d+ bytes/u)]);
      expect(await run('retrieve', { S, out })).toMatchObject({ exitCode: 0, notes });
      expect(await unchanging(S)).toEqual(before);
    },
  );

  it('is read in place, without a note about the -wal, while a node has it open', async () => {
    const { S, out, db } = await place('last-commit');
    const node = await holdDatabase(db);
    try {
      const before = await unchanging(S);
      const { exitCode, notes } = await run('export', { S, out });
      expect({ exitCode, notes }).toEqual({ exitCode: 0, notes: [] });
      expect(await unchanging(S)).toEqual(before);
    } finally {
      await node.release();
    }
  });

  it('is refused as busy while a process locks out all readers', async () => {
    const { S, out, db } = await place();
    const node = await holdDatabase(db, 'PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT');
    try {
      const { exitCode, error } = await run('export', { S, out });
      expect({ exitCode, code: error?.code }).toEqual({ exitCode: 4, code: 'STORE_LOCKED' });
      expect(await listTree(out)).toEqual({});
    } finally {
      await node.release();
    }
  });
});

describe.concurrent('a store behind a symbolic link', () => {
  it('is read with the -wal next to the target of the link', async () => {
    const { dir, out, db } = await place('everything');
    await mkdir(join(dir, 'links'));
    await symlink(db, join(dir, 'links', 'swingstore.sqlite'));
    const { exitCode, notes } = await run('export', { S: join(dir, 'links'), out });
    expect({ exitCode, notes }).toEqual({ exitCode: 0, notes: [expect.stringContaining('-wal')] });
    expect(withoutManifest(await listTree(join(out, 'E')))).toEqual(expected);
    expect(Object.keys(await listTree(join(dir, 'links')))).toEqual(['swingstore.sqlite']);
  });
});

describe.concurrent('a store in rollback mode', () => {
  async function inRollbackMode() {
    const made = await place();
    const db = openDatabase(made.db);
    db.pragma('journal_mode = DELETE');
    db.close();
    return made;
  }

  it('is read in place, and no file appears next to it', async () => {
    const { S, out } = await inRollbackMode();
    const before = await listTree(S);
    for (const command of COMMANDS) {
      expect(await run(command, { S, out })).toMatchObject({ exitCode: 0, notes: [] });
    }
    expect(withoutManifest(await listTree(join(out, 'E')))).toEqual(expected);
    expect(await listTree(S)).toEqual(before);
  });

  it('is exported from a copy, as of its last commit, if a transaction in it was cut off', async () => {
    const { dir, S, out, db } = await inRollbackMode();
    const writer = openDatabase(db);
    writer.pragma('cache_size = 1');
    writer.exec(`BEGIN; UPDATE kvStore SET value = value || 'x' WHERE key NOT LIKE 'host.%'`);
    await cp(S, join(dir, 'killed'), { recursive: true });
    writer.exec('ROLLBACK');
    writer.close();
    await rename(join(dir, 'killed'), `${S}2`);
    const before = await listTree(`${S}2`);
    expect(Object.keys(before)).toContain('swingstore.sqlite-journal');
    const { exitCode, notes } = await run('export', { S: `${S}2`, out });
    expect({ exitCode, notes }).toEqual({
      exitCode: 0,
      notes: [expect.stringMatching(/journal of an unfinished transaction.*copying \d+ bytes to/u)],
    });
    expect(withoutManifest(await listTree(join(out, 'E')))).toEqual(expected);
    expect(await listTree(`${S}2`)).toEqual(before);
    expect(
      Object.keys(await listTree(out)).filter((name) => name.includes('.swingsnap-s')),
    ).toEqual([]);
  });
});

describe.concurrent('a store with only read permission', () => {
  async function readOnly(kind?: 'closed' | 'last-commit') {
    const made = await place(kind);
    await chmod(made.db, 0o644);
    await chmod(made.S, 0o555);
    return made;
  }

  it.each(COMMANDS)(
    'is copied by %s while its node is stopped, and the note tells how to avoid the copy',
    async (command) => {
      const { S, out } = await readOnly();
      const before = await listTree(S);
      const told = await run(command, { S, out }, { surroundings: stranger });
      expect(told.stderr).toBe('');
      expect(told.exitCode).toBe(0);
      expect(told.notes).toEqual([
        expect.stringMatching(/only read rights.*: copying \d+ bytes to .*run this as its owner/u),
      ]);
      expect(await listTree(S)).toEqual(before);
      expect(
        Object.keys(await listTree(out)).filter((name) => name.includes('.swingsnap-s')),
      ).toEqual([]);
      await chmod(S, 0o755);
    },
  );

  it('is read in place while its node has it open', async () => {
    const { S, out, db } = await place();
    const node = await holdDatabase(
      db,
      `UPDATE kvStore SET value = '1001' WHERE key = 'host.height'`,
    );
    await chmod(S, 0o555);
    try {
      const { exitCode, notes, height } = await run(
        'export',
        { S, out },
        { surroundings: stranger },
      );
      expect({ exitCode, notes, height }).toEqual({ exitCode: 0, notes: [], height: 1001 });
    } finally {
      await chmod(S, 0o755);
      await node.release();
    }
  });

  it('is refused with exit code 6 if even read permission is missing', async () => {
    const { S, out, db } = await place();
    await chmod(db, 0);
    for (const command of COMMANDS) {
      const { exitCode, error } = await run(command, { S, out }, { surroundings: stranger });
      expect({ exitCode, code: error?.code }).toEqual({ exitCode: 6, code: 'STORE_UNREADABLE' });
      expect(error?.hint).toMatch(/run as the user that owns the node/u);
    }
    await chmod(S, 0);
    const { exitCode, error } = await run('export', { S, out }, { surroundings: stranger });
    expect({ exitCode, path: error?.path }).toEqual({ exitCode: 6, path: db });
    await chmod(S, 0o755);
    expect(await listTree(out)).toEqual({});
  });
});

if (canMount) {
  describe.concurrent('a store on a read-only file system', () => {
    const readOnlyMount = (S: string): string =>
      `mount --bind '${S}' '${S}'\nmount -o remount,bind,ro '${S}'`;

    it.each(['closed', 'last-commit', 'everything'] as const)(
      'is copied to scratch with all of its content and a note, and the copy is removed (%s)',
      async (kind) => {
        const { dir, S, out, db } = await place(kind);
        await rm(`${db}-shm`, { force: true });
        const scratch = join(dir, 'scratch');
        await mkdir(scratch);
        const before = await listTree(S);
        const surroundings = { mounts: readOnlyMount(S) };
        const more = ['--scratch-dir', scratch];
        const exported = await run('export', { S, out }, { surroundings, more });
        expect(exported.exitCode).toBe(0);
        expect(exported.notes).toEqual([
          expect.stringMatching(/read-only file system.*: copying \d+ bytes to .*scratch/u),
        ]);
        expect(withoutManifest(await listTree(join(out, 'E')))).toEqual(expected);
        if (kind === 'last-commit') {
          expect(await run('retrieve', { S, out }, { surroundings, more })).toMatchObject({
            exitCode: 0,
          });
        }
        expect(await listTree(S)).toEqual(before);
        expect(await listTree(scratch)).toEqual({});
      },
    );

    it('is read in place if it still has a -shm, whose content SQLite then ignores', async () => {
      const { S, out } = await place('everything');
      const before = await listTree(S);
      const surroundings = { mounts: readOnlyMount(S) };
      const { exitCode, notes } = await run('export', { S, out }, { surroundings });
      expect({ exitCode, notes }).toEqual({
        exitCode: 0,
        notes: [expect.stringMatching(/^swingstore.sqlite-wal holds/u)],
      });
      expect(withoutManifest(await listTree(join(out, 'E')))).toEqual(expected);
      expect(await listTree(S)).toEqual(before);
    });

    it('is not copied if there is no space for it, and no failure leaves files in scratch', async () => {
      const { dir, S, out, db } = await place();
      const scratch = join(dir, 'scratch');
      await mkdir(scratch);
      const more = ['--scratch-dir', scratch];
      const image = join(dir, 'disk');
      const small = [
        `truncate -s 400k '${image}'`,
        `mkfs.ext2 -q -b 1024 '${image}'`,
        `mount -o loop '${image}' '${scratch}'`,
        `head -c 200000 /dev/zero > '${scratch}/filler'`,
        readOnlyMount(S),
      ].join('\n');
      const full = await run('export', { S, out }, { surroundings: { mounts: small }, more });
      expect({ exitCode: full.exitCode, code: full.error?.code }).toEqual({
        exitCode: 6,
        code: 'NO_SPACE',
      });
      expect(full.error).toMatchObject({
        expected: `${(await stat(db)).size} bytes`,
        found: expect.stringMatching(/bytes free/u) as unknown,
        hint: expect.stringContaining('--scratch-dir') as unknown,
      });

      const surroundings = { mounts: readOnlyMount(S) };
      const other = await run(
        'export',
        { S, out },
        { surroundings, more: [...more, '--height', '1'] },
      );
      expect({ exitCode: other.exitCode, code: other.error?.code }).toEqual({
        exitCode: 5,
        code: 'HEIGHT',
      });
      await truncate(db, (await stat(db)).size / 2);
      expect(await run('export', { S, out }, { surroundings, more })).toMatchObject({
        exitCode: 3,
      });
      expect(await listTree(scratch)).toEqual({});
      expect(await listTree(out)).toEqual({});
    });

    it('is not copied into memory', async () => {
      const { dir, S, out } = await place();
      const scratch = join(dir, 'scratch');
      await mkdir(scratch);
      const surroundings = { mounts: `mount -t tmpfs none '${scratch}'` };
      const { exitCode, error } = await run(
        'export',
        { S, out },
        {
          surroundings,
          more: ['--scratch-dir', scratch],
        },
      );
      expect({ exitCode, code: error?.code }).toEqual({ exitCode: 6, code: 'SCRATCH_IN_MEMORY' });
      expect(await listTree(out)).toEqual({});
    });
  });
}

describe.concurrent('the height of a store', () => {
  async function heightOf(value: string | number | null | undefined): Promise<number> {
    const { S, out, db } = await place();
    const sql = openDatabase(db);
    if (value === undefined) sql.exec(`DELETE FROM kvStore WHERE key = 'host.height'`);
    else sql.prepare(`UPDATE kvStore SET value = ? WHERE key = 'host.height'`).run(value);
    sql.close();
    const options = {
      artifactMode: 'operational',
      scratchDir: out,
      note: () => undefined,
    } as const;
    const store = await openSwingStore(S, options);
    await store.close();
    return store.height;
  }

  it.each([
    ['abc', 0],
    ['', 0],
    [undefined, 0],
    [null, 0],
    ['0', 0],
    ['007', 7],
    [' 12 ', 12],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('equals the height that the reference reads: %j is %d', async (value, height) => {
    expect(await heightOf(value)).toBe(height);
  });

  it.each(['-1', '1.5', '9007199254740993', 'Infinity'])(
    'is refused if no block can have it: %s',
    async (value) => {
      await expect(heightOf(value)).rejects.toMatchObject({
        code: 'HOST_HEIGHT',
        found: value,
        exitCode: 3,
      });
    },
  );

  it('is refused if it differs from the requested one, even if that is 0', async () => {
    const { S, out } = await place();
    for (const command of COMMANDS) {
      const { exitCode, error } = await run(command, { S, out }, { more: ['--height', '0'] });
      expect(exitCode).toBe(5);
      expect(error).toMatchObject({ code: 'HEIGHT', expected: 0, found: 1000 });
    }
    expect(await run('export', { S, out }, { more: ['--height', '1000'] })).toMatchObject({
      exitCode: 0,
    });
    expect(Object.keys(await listTree(out))).not.toContain('D');
  });
});

describe.concurrent('the scratch dir', () => {
  it('is refused if it does not exist, before any file is made', async () => {
    const { dir, S, out } = await place();
    for (const command of COMMANDS) {
      const { exitCode, error } = await run(
        command,
        { S, out },
        {
          more: ['--scratch-dir', join(dir, 'missing')],
        },
      );
      expect({ exitCode, path: error?.path }).toEqual({ exitCode: 2, path: join(dir, 'missing') });
    }
    expect(await listTree(out)).toEqual({});
  });
});
