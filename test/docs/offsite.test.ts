/** Runs the recipe of docs/operations.md for off-site copies with restic: the disk of the snapshots is lost, and comes back. */
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { commit, makeMachine, run as runOn, type Machine, type Ran } from './machine.ts';
import { fencesOf, readDocument } from './markdown.ts';

const tempDir = useTempDir();
afterAll(closeReference);

const hasRestic = spawnSync('restic', ['version']).status === 0;
const [init = '', nightly = '', back = '', ...others] = fencesOf(
  readDocument('docs/operations.md'),
).filter((text) => text.includes('restic'));
const RETRIEVE =
  'swingsnap retrieve --home /home/agoric/.agoric --snapshot-dir /backup/snapshots --quiet';

async function run(on: Machine, script: string): Promise<Ran> {
  const moved = script
    .replaceAll('/mnt/offsite', join(on.dir, 'offsite'))
    .replaceAll('/etc/swingsnap', join(on.dir, 'etc'));
  return runOn(on, moved, '/usr/local/bin:/usr/bin:/bin');
}

async function machine(): Promise<Machine> {
  const on = await makeMachine(await tempDir());
  for (const name of ['offsite', 'etc']) await mkdir(join(on.dir, name));
  await writeFile(join(on.dir, 'etc/restic-password'), 'secret\n');
  expect(await run(on, init)).toMatchObject({ exitCode: 0 });
  expect(await run(on, `${RETRIEVE} --create`)).toMatchObject({ exitCode: 0 });
  return on;
}

describe('the recipe for off-site copies', { timeout: 120_000 }, () => {
  it('is where this test looks for it', () => {
    expect(init).toContain('restic init');
    expect(nightly).toContain('restic backup');
    expect(back).toContain('restic restore');
    expect(others).toEqual([]);
  });

  it.skipIf(!hasRestic)('brings back every height of all nights, to go on from', async () => {
    const on = await machine();
    const place = join(on.dir, 'backup/snapshots');
    await mkdir(join(place, '.77-unfinished'));
    expect(await run(on, nightly)).toMatchObject({ exitCode: 0 });
    commit(on);
    expect(await run(on, RETRIEVE)).toMatchObject({ exitCode: 0 });
    expect(await run(on, nightly)).toMatchObject({ exitCode: 0 });
    const names = (await readdir(place)).filter((name) => name !== '.77-unfinished');
    expect(names).toHaveLength(3);

    await rm(place, { recursive: true });
    expect(await run(on, back)).toMatchObject({ exitCode: 0, mail: '' });
    const returned = join(on.dir, 'backup/returned', place);
    // The test's /backup is further down.
    await rename(returned, place);
    expect(await readdir(place)).toEqual(names);
    const height = names.find((name) => /^\d+$/u.test(name)) ?? '';
    const [chunk = ''] = await readdir(join(place, height, 'chunks'));
    expect((await stat(join(place, height, 'chunks', chunk))).nlink).toBe(2);
    commit(on);
    expect(await run(on, RETRIEVE)).toMatchObject({ exitCode: 0, mail: '' });
  });

  it.skipIf(!hasRestic)('fails where a height is damaged that was copied', async () => {
    const on = await machine();
    const place = join(on.dir, 'backup/snapshots');
    const height = (await readdir(place)).find((name) => /^\d+$/u.test(name)) ?? '';
    const chunks = join(place, height, 'chunks');
    const [chunk = ''] = await readdir(chunks);
    await writeFile(join(chunks, chunk), 'damaged');
    expect(await run(on, nightly)).toMatchObject({ exitCode: 0 });
    expect(await run(on, back)).toMatchObject({ exitCode: 3 });
  });
});
