/** Runs what docs/upgrades.md says of places with heights of 0.1.0 and of both versions of the format. */
import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { commit, makeMachine, run as runOn, type Machine, type Ran } from './machine.ts';
import { commandLinesOf, readDocument, root } from './markdown.ts';

const tempDir = useTempDir();
afterAll(closeReference);

/** Heights of the frozen samples, by their names. */
const SAMPLES = { 'snapshot-1': 4242, 'modules-1': 4343, 'snapshot-2': 5253 } as const;
const RETRIEVE = 'swingsnap retrieve --home /home/agoric/.agoric --snapshot-dir /backup/snapshots';

async function run(on: Machine, command: string): Promise<Ran> {
  return runOn(on, command, '/usr/local/bin:/usr/bin:/bin');
}

/** A machine whose snapshot dir has these samples, and no mark, as 0.1.0 leaves it. */
async function machineWith(...samples: readonly (keyof typeof SAMPLES)[]): Promise<Machine> {
  const on = await makeMachine(await tempDir());
  await mkdir(join(on.dir, 'backup/snapshots'));
  for (const name of samples) {
    const to = join(on.dir, 'backup/snapshots', String(SAMPLES[name]));
    await cp(join(root, 'test/fixtures/frozen', name), to, { recursive: true });
  }
  return on;
}

async function versionOf(on: Machine, place: string, height: number): Promise<unknown> {
  const path = join(on.dir, 'backup', place, String(height), 'manifest.json');
  return (JSON.parse(await readFile(path, 'utf8')) as { version: unknown }).version;
}

interface Listed {
  readonly heights: readonly { height: number; formatVersion: number; madeAtFrom: string }[];
}

describe('a place with heights of version 1 and 2', () => {
  it('is listed and thinned out', async () => {
    const on = await machineWith('snapshot-1', 'modules-1', 'snapshot-2');
    const list = async (): Promise<Listed['heights']> => {
      const listed = await run(on, 'swingsnap list /backup/snapshots --json');
      return (JSON.parse(listed.mail) as Listed).heights;
    };
    expect((await list()).map(({ height, formatVersion }) => [height, formatVersion])).toEqual([
      [5253, 2],
      [4343, 1],
      [4242, 1],
    ]);
    expect((await list()).at(-1)?.madeAtFrom).toBe('file');
    const pruned = await run(on, 'swingsnap prune /backup/snapshots --keep-last 2');
    expect(pruned.exitCode).toBe(0);
    expect((await list()).map(({ height }) => height)).toEqual([5253, 4343]);
  });

  it('is read height by height, and the newest by default', async () => {
    const on = await machineWith('snapshot-1', 'modules-1', 'snapshot-2');
    expect(await versionOf(on, 'snapshots', 4242)).toBe(1);
    expect(await versionOf(on, 'snapshots', 5253)).toBe(2);
    for (const height of Object.values(SAMPLES)) {
      const verified = await run(on, `swingsnap verify /backup/snapshots --height ${height}`);
      expect(verified.mail).toContain(`ok: snapshot of height ${height} `);
    }
    expect((await run(on, 'swingsnap verify /backup/snapshots --quick')).mail).toContain('5253');
    const restore = 'swingsnap restore /backup/snapshots --state-dir';
    expect(await run(on, `${restore} /backup/new`)).toMatchObject({ exitCode: 0 });
    expect(await run(on, `${restore} /backup/old --height 4242`)).toMatchObject({ exitCode: 0 });
  });

  it('goes on from 0.1.0 without --create, and retention counts both', async () => {
    const on = await machineWith('snapshot-1');
    commit(on, 5000);
    const heights = async (): Promise<number[]> => {
      const names = await readdir(join(on.dir, 'backup/snapshots'));
      return names
        .filter((name) => /^\d+$/u.test(name))
        .map(Number)
        .sort((a, b) => a - b);
    };
    const first = await run(on, `${RETRIEVE} --keep-last 2`);
    expect(first.exitCode).toBe(0);
    expect(first.mail).toMatch(/all of .*\/4242 is verified now/u);
    expect(await readdir(join(on.dir, 'backup/snapshots'))).toContain('.swingsnap.json');
    const made = Math.max(...(await heights()));
    expect(await heights()).toEqual([4242, made]);
    expect(await versionOf(on, 'snapshots', made)).toBe(2);

    commit(on);
    const second = await run(on, `${RETRIEVE} --format-version 1 --keep-last 2`);
    expect(second.exitCode).toBe(0);
    expect(second.mail).not.toContain('is verified now');
    expect(await heights()).toEqual([made, made + 1]);
    expect(await versionOf(on, 'snapshots', made + 1)).toBe(1);
    for (const height of await heights()) {
      const verified = await run(on, `swingsnap verify /backup/snapshots/${height}`);
      expect(verified.exitCode).toBe(0);
    }
  });
});

describe('a height of version 2', () => {
  it('becomes one of version 1 with the same contentHash, as the page says', async () => {
    const line = commandLinesOf(readDocument('docs/upgrades.md')).find(({ flags }) =>
      flags.includes('--from'),
    );
    const on = await machineWith('snapshot-2');
    const height = String(SAMPLES['snapshot-2']);
    const repacked = await run(on, (line?.line ?? '').trim().replace('20000000', height));
    expect(repacked.exitCode).toBe(0);
    expect(await versionOf(on, 'version-1', 5253)).toBe(1);
    const hashOf = (text: string): string => /contentHash +([0-9a-f]{64})/u.exec(text)?.[1] ?? '';
    const verified = await run(on, `swingsnap verify /backup/snapshots/${height}`);
    expect(hashOf(verified.mail)).toHaveLength(64);
    expect(hashOf(repacked.mail)).toBe(hashOf(verified.mail));
  });
});
