/** The owner of a state dir attacks root, who reads the store in it. */
import {
  chmod,
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cutOff, nameSuperJournal } from '../fixtures/cut-off-store.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { MALLORY, runAs, startAs, swingsnapAs } from './other-users.ts';

const fileDir = useTempDir('file');
/** A directory with two different stores. */
let stores: string;

beforeAll(async () => {
  stores = await fileDir();
  for (const [i, name] of ['A', 'B'].entries()) {
    const generatedKeys = [{ count: 300, valueBytes: 300, seed: i }];
    await buildStore(join(stores, name), { ...tinySpec, height: 1000 + i, generatedKeys });
  }
});
afterAll(closeReference);

/** Makes a directory of Mallory's with a copy of each store, and one of root's that no other user may enter. */
async function place() {
  const dir = await fileDir();
  await chmod(dir, 0o755);
  const [theirs, ours] = [join(dir, 'mallory'), join(dir, 'root')];
  await mkdir(ours, { mode: 0o700 });
  await cp(stores, theirs, { recursive: true });
  return { theirs, ours };
}

async function give(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  await chown(dir, MALLORY, MALLORY);
  for (const name of await readdir(dir, { recursive: true })) {
    await chown(join(dir, name), MALLORY, MALLORY);
  }
}

describe('a state dir of another user that root reads', () => {
  it('cannot make root remove the file that its journal names', async () => {
    const { theirs, ours } = await place();
    const victim = join(ours, 'victim');
    await writeFile(victim, 'precious');
    const S = join(theirs, 'A');
    await cutOff(S);
    await nameSuperJournal(S, victim);
    await give(theirs);
    for (const [verb, ...flags] of [
      ['export', '--export-dir'],
      ['retrieve', '--create', '--snapshot-dir'],
    ] as const) {
      const args = [verb, '--state-dir', S, ...flags, join(ours, verb), '--json'];
      const { exitCode, stdout } = await swingsnapAs(0, args);
      expect(await readFile(victim, 'utf8')).toBe('precious');
      expect({ exitCode, told: JSON.parse(stdout) as unknown }).toMatchObject({
        exitCode: 3,
        told: { error: { code: 'SUPER_JOURNAL' } },
      });
    }
    expect((await readdir(ours)).filter((name) => name !== 'retrieve')).toEqual(['victim']);
  });

  it('gives one of two stores or an error while its owner keeps swapping them', async () => {
    const { theirs, ours } = await place();
    await give(theirs);
    const hashOf = async (S: string, to: string): Promise<string | undefined> => {
      const args = [
        '--create',
        '--state-dir',
        S,
        '--snapshot-dir',
        join(ours, to),
        '--concurrency',
        '2',
      ];
      const { stdout, stderr } = await swingsnapAs(0, ['retrieve', ...args, '--json']);
      expect(stdout, stderr).not.toBe('');
      return (JSON.parse(stdout) as { contentHash?: string }).contentHash;
    };
    const honest = [await hashOf(join(theirs, 'A'), 'A'), await hashOf(join(theirs, 'B'), 'B')];
    expect(new Set(honest).size).toBe(2);
    const script = 'while :; do ln -sfn A next; mv -T next S; ln -sfn B next; mv -T next S; done';
    await runAs(MALLORY, ['ln', '-s', 'A', 'S'], { cwd: theirs });
    const mallory = startAs(MALLORY, ['sh', '-c', script], { cwd: theirs });
    try {
      for (let i = 0; i < 6; i += 1) {
        const hash = await hashOf(join(theirs, 'S'), `S-${i}`);
        if (hash !== undefined) expect(honest).toContain(hash);
      }
    } finally {
      mallory.kill('SIGKILL');
      await rm(join(theirs, 'S'), { force: true });
    }
  });

  it('does not choose the names of the side files that SQLite makes', async () => {
    const { theirs, ours } = await place();
    const S = join(theirs, 'A');
    // A `run-wal` in another directory might be run there.
    await rename(join(S, 'swingstore.sqlite'), join(S, 'run'));
    await symlink('run', join(S, 'swingstore.sqlite'));
    await give(theirs);
    const exportDir = join(ours, 'E');
    const args = ['export', '--state-dir', S, '--export-dir', exportDir, '--json'];
    const { exitCode, stdout } = await swingsnapAs(0, args);
    expect({ exitCode, told: JSON.parse(stdout) as unknown }).toMatchObject({
      exitCode: 3,
      told: { error: { code: 'SIDE_FILE', found: 'run' } },
    });
    expect((await readdir(S)).sort()).toEqual(['run', 'swingstore.sqlite']);
  });
});
