/** What containers lack: an entry in passwd, a home, variables of the environment, /proc. */
import { existsSync } from 'node:fs';
import { chmod, chown, cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { ALICE, runAs, swingsnapWords, type Ended } from './other-users.ts';

const fileDir = useTempDir('file');
const tempDir = useTempDir();
let store: string;
let dir: string;
let S: string;

beforeAll(async () => {
  store = join(await fileDir(), 'S');
  await buildStore(store, tinySpec);
});
afterAll(closeReference);

beforeEach(async () => {
  const parent = await tempDir();
  await chmod(parent, 0o755);
  dir = join(parent, 'volume');
  S = join(dir, 'S');
  await mkdir(dir);
  await cp(store, S, { recursive: true });
});

type Swingsnap = (...args: readonly string[]) => Promise<Ended>;

/** The whole job on the volume, in the way that `swingsnap` runs. */
async function doTheJob(swingsnap: Swingsnap): Promise<void> {
  const [E, D, R] = [join(dir, 'E'), join(dir, 'D'), join(dir, 'R')];
  for (const args of [
    ['export', '--state-dir', S, '--export-dir', E, '--detach'],
    ['retrieve', '--create', '--export-dir', E, '--snapshot-dir', D],
    ['verify', D, '--state-dir', S],
    ['restore', D, '--state-dir', R],
    ['restore', D, '--state-dir', R, '--replace'],
    ['export', '--state-dir', S, '--export-dir', E],
    ['discard', '--export-dir', E],
    ['status', '--state-dir', S],
  ]) {
    expect(await swingsnap(...args), args.join(' ')).toMatchObject({ exitCode: 0 });
  }
  expect(existsSync(join(R, 'swingstore.sqlite'))).toBe(true);
}

describe('a user without an entry in passwd, without HOME and SHELL', () => {
  const swingsnap: Swingsnap = async (...args) =>
    runAs(ALICE, ['env', '-u', 'HOME', '-u', 'SHELL', ...(await swingsnapWords(...args))]);

  it('is served by every command', async () => {
    for (const path of [dir, S, join(S, 'swingstore.sqlite')]) await chown(path, ALICE, ALICE);
    expect(await swingsnap('--version')).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await swingsnap('restore', '--help')).toMatchObject({ exitCode: 0, stderr: '' });
    await doTheJob(swingsnap);
  });

  it('is told to name a home, only where one is needed', async () => {
    const { exitCode, stdout, stderr } = await swingsnap('status', '--json');
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'NO_HOME', hint: expect.stringContaining('--home <dir>') as string },
    });
    const named = await swingsnap('status', '--home', dir, '--json');
    expect(JSON.parse(named.stdout)).toMatchObject({ error: { code: 'STORE_MISSING' } });
  });
});

describe('a system without /proc', () => {
  it('is served by every command', async () => {
    await doTheJob(async (...args) => {
      const words = await swingsnapWords(...args);
      const env = { SWINGSNAP_STATE_DIR: join(dir, 'state') };
      const script = 'mount -t tmpfs none /proc && exec "$@"';
      return runAs(0, ['unshare', '--mount', 'sh', '-c', script, 'sh', ...words], { env });
    });
  });
});
