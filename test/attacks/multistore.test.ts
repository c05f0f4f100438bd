/** The multistore of one user, read by another: hard links need rights, and a hostile owner chooses what is linked. */
import {
  chmod,
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { makeMultistore } from '../fixtures/multistore.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { ALICE, MALLORY, swingsnapAs } from './other-users.ts';

const fileDir = useTempDir('file');
let store: string;

beforeAll(async () => {
  store = join(await fileDir(), 'store');
  // A node that was killed: the -wal and the -shm are there, so others can read the store in place.
  await buildStore(store, { ...tinySpec, leaveWal: 'last-commit' });
});
afterAll(closeReference);

/** Alice's home, at height 1000 in both stores, which all may read. */
async function homeOfAlice(): Promise<{ home: string; db: string }> {
  const dir = await fileDir();
  const home = join(dir, 'home');
  await chmod(dir, 0o755);
  const db = await makeMultistore(home, 1000);
  await cp(store, join(home, 'data', 'agoric'), { recursive: true });
  await chown(home, ALICE, ALICE);
  for (const name of await readdir(home, { recursive: true })) {
    await chown(join(home, name), ALICE, ALICE);
  }
  return { home, db };
}

interface Told {
  readonly notes: readonly string[];
  readonly multistore?: { readonly height?: number; readonly relation: string };
}

async function statusAs(uid: number, home: string): Promise<Told> {
  const { exitCode, stdout, stderr } = await swingsnapAs(uid, ['status', '--home', home, '--json']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout) as Told;
}

const tableIn = async (db: string): Promise<string> =>
  join(db, (await readdir(db)).find((name) => name.endsWith('.ldb')) ?? '');

describe('the multistore of another user', () => {
  it('is read by its owner and by root, and nothing of it is changed', async () => {
    const { home, db } = await homeOfAlice();
    const before = await listTree(db);
    for (const uid of [ALICE, 0]) {
      const { multistore } = await statusAs(uid, home);
      expect(multistore).toMatchObject({ height: 1000, relation: 'same' });
    }
    expect(await listTree(db)).toEqual(before);
    expect(await readdir(join(home, 'data'))).toEqual(['agoric', 'application.db']);
  });

  it('is unknown to a user who may not link its tables, who is told whom to ask', async () => {
    const { home, db } = await homeOfAlice();
    // With 0 here, anybody may link what they cannot write.
    expect(await readFile('/proc/sys/fs/protected_hardlinks', 'utf8')).toBe('1\n');
    const before = await listTree(db);
    const { multistore, notes } = await statusAs(MALLORY, home);
    expect(multistore).toEqual({ path: db, relation: 'unknown' });
    expect(notes.join('\n')).toMatch(
      /the height of the multistore is unknown: .* \(.*\.ldb: EPERM\); run as the user that runs the node/u,
    );
    expect(await listTree(db)).toEqual(before);
  });

  it('is unknown to root if its owner has put a link to a file of root into it', async () => {
    const { home, db } = await homeOfAlice();
    const secret = join(await fileDir(), 'secret');
    await writeFile(secret, 'of root');
    const table = await tableIn(db);
    await rename(table, join(home, 'table'));
    await symlink(secret, table);
    const { multistore, notes } = await statusAs(0, home);
    expect(multistore).toMatchObject({ relation: 'unknown' });
    expect(notes.join('\n')).toMatch(/damaged/u);
    expect(await readFile(secret, 'utf8')).toBe('of root');
  });

  it('is unknown to root if its owner has put a link to a directory of root in its place', async () => {
    const { home, db } = await homeOfAlice();
    const other = await fileDir();
    await mkdir(join(other, 'data'));
    await rename(db, join(home, 'application.db.before'));
    await symlink(join(other, 'data'), db);
    const { multistore } = await statusAs(0, home);
    expect(multistore).toMatchObject({ relation: 'unknown' });
    expect(await readdir(join(other, 'data'))).toEqual([]);
  });
});
