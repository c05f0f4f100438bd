/** Files of one user that a command of another makes: the node's user must be able to go on with all of them. */
import { chmod, chown, cp, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { ALICE, commitAs, runAs, swingsnapAs, swingsnapWords } from './other-users.ts';

/** A user with a passwd entry on every system, who makes backups. */
const BACKUP = 65_534;

const fileDir = useTempDir('file');
let stores: string;

beforeAll(async () => {
  stores = await fileDir();
  await buildStore(join(stores, 'closed'), tinySpec);
  await buildStore(join(stores, 'last-commit'), { ...tinySpec, leaveWal: 'last-commit' });
});
afterAll(closeReference);

/** A home of Alice's with her store, in which the user who makes backups may make files, and a place for these. */
async function place(kind: 'closed' | 'last-commit' = 'closed') {
  const dir = await fileDir();
  await chmod(dir, 0o755);
  const [home, out] = [join(dir, 'home'), join(dir, 'out')];
  const S = join(home, 'data', 'agoric');
  await mkdir(join(home, 'data'), { recursive: true });
  await cp(join(stores, kind), S, { recursive: true });
  // As in a copy of a store: the -shm is no part of it.
  await rm(join(S, 'swingstore.sqlite-shm'), { force: true });
  await mkdir(out);
  await chown(out, BACKUP, BACKUP);
  for (const name of ['', ...(await readdir(home, { recursive: true }))]) {
    await chown(join(home, name), ALICE, ALICE);
  }
  await chmod(S, 0o777);
  return { S, home, out };
}

const commands: Record<string, (at: { S: string; home: string; out: string }) => string[]> = {
  export: ({ S, out }) => ['export', '--state-dir', S, '--export-dir', join(out, 'E')],
  retrieve: ({ S, out }) => ['retrieve', '--state-dir', S, '--snapshot-dir', join(out, 'D')],
  'retrieve --check': ({ S, out }) => [
    'retrieve',
    '--state-dir',
    S,
    '--snapshot-dir',
    join(out, 'D'),
    '--check',
  ],
  verify: ({ home, out }) => ['verify', join(out, 'D'), '--home', home],
};

describe('a store at rest of another user', () => {
  it.each(['closed', 'last-commit'] as const)(
    'gets no side files that its owner cannot write (%s)',
    async (kind) => {
      const at = await place(kind);
      for (const [name, wordsOf] of Object.entries(commands)) {
        const before = (await readdir(at.S)).sort();
        const { exitCode, stdout } = await swingsnapAs(BACKUP, [...wordsOf(at), '--json']);
        const told = JSON.parse(stdout) as { notes: string[] };
        expect({ name, exitCode, notes: told.notes }).toEqual({
          name,
          exitCode: 0,
          notes: [expect.stringMatching(/belongs to another user.*: copying .*as its owner/u)],
        });
        expect({ name, files: (await readdir(at.S)).sort() }).toEqual({ name, files: before });
      }
      expect(await commitAs(ALICE, at.S, 1001)).toMatchObject({ exitCode: 0, stderr: '' });
    },
  );

  it('is read in place by root, who leaves side files of its owner', async () => {
    const at = await place();
    const { exitCode, stdout } = await swingsnapAs(0, [...commands['retrieve']!(at), '--json']);
    expect({ exitCode, ...(JSON.parse(stdout) as object) }).toMatchObject({
      exitCode: 0,
      notes: [],
    });
    for (const name of await readdir(at.S)) {
      expect({ name, uid: (await stat(join(at.S, name))).uid }).toEqual({ name, uid: ALICE });
    }
    expect(await commitAs(ALICE, at.S, 1001)).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('gets none from a root that may not change owners', async () => {
    const at = await place();
    const words = await swingsnapWords(...commands['retrieve']!(at), '--json');
    const { exitCode } = await runAs(0, ['setpriv', '--bounding-set=-chown', ...words]);
    expect(exitCode).toBe(0);
    expect(await readdir(at.S)).toEqual(['swingstore.sqlite']);
    expect(await commitAs(ALICE, at.S, 1001)).toMatchObject({ exitCode: 0, stderr: '' });
  });
});
