/** `prune`, and the same rules in `retrieve`. */
import { mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { directoryStorage } from '../../src/storage/directory.ts';
import { listTree, useTempDir, visibleIn } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { CHUNK_BYTES, makePlace } from '../operation/place/made-place.ts';

const tempDir = useTempDir();
afterAll(closeReference);

const DAY = 86_400_000;
const day = (number: number): string => new Date(Date.UTC(2026, 0, number, 12)).toISOString();

async function fiveHeights(dir: string): Promise<void> {
  await makePlace(dir, [
    { height: 1, at: day(1), chunks: ['shared', 'a'] },
    { height: 2, at: day(2), chunks: ['shared', 'b'] },
    { height: 3, at: day(2), chunks: ['shared', 'c', 'kept'] },
    { height: 4, modified: day(4), chunks: ['d', 'kept'] },
    { height: 5, at: day(5), chunks: ['e'] },
  ]);
}

interface PrunedJson {
  readonly heights: readonly {
    height: number;
    isKept: boolean;
    reasons: string[];
    ownSize: number;
  }[];
  readonly freed: number;
}

const outcome = ({ heights }: PrunedJson): unknown =>
  heights.map(({ height, isKept, reasons }) => [height, isKept, reasons]);

describe('prune', () => {
  it('refuses without a rule, and removes nothing', async () => {
    const dir = await tempDir();
    await fiveHeights(dir);
    const before = await listTree(dir);
    expect(await runCli(['prune', dir, '--json'])).toMatchObject({
      exitCode: 2,
      json: { error: { code: 'NO_RULE' } },
    });
    expect(await listTree(dir)).toEqual(before);
  });

  it('removes what no rule keeps, and --dry-run tells the same without removing', async () => {
    const dir = await tempDir();
    await fiveHeights(dir);
    const words = ['prune', dir, '--keep-last', '1', '--keep-daily', '2', '--keep-height', '7'];
    const before = await listTree(dir);
    const dry = await runCli([...words, '--dry-run', '--json']);
    expect(await listTree(dir)).toEqual(before);
    const text = await runCli([...words, '--dry-run']);
    expect(text.stdout).toMatch(/ 4 .*kept: daily\n/u);
    expect(text.stdout).toMatch(/ 3 .*would be removed\n/u);
    const run = await runCli([...words, '--json']);
    expect(run).toMatchObject({ exitCode: 0, json: { dryRun: false, place: dir } });
    expect(await visibleIn(dir)).toEqual(['4', '5']);
    const [dryJson, json] = [dry.json as PrunedJson, run.json as PrunedJson];
    expect(outcome(json)).toEqual([
      [5, true, ['last', 'daily']],
      [4, true, ['daily']],
      [3, false, []],
      [2, false, []],
      [1, false, []],
    ]);
    expect(outcome(dryJson)).toEqual(outcome(json));
    // What only the removed heights shared is free too; what a kept one shares is not.
    const own = json.heights.filter(({ isKept }) => !isKept).map(({ ownSize }) => ownSize);
    expect(json.freed).toBe(own.reduce((a, b) => a + b) + CHUNK_BYTES);
    expect(dryJson.freed).toBe(json.freed);
  });

  it('neither counts nor removes what is damaged, foreign or a link', async () => {
    const dir = await tempDir();
    await fiveHeights(dir);
    await rm(path.join(dir, '5', 'entries.jsonl.zst'));
    await symlink('1', path.join(dir, '6'));
    for (const name of ['7', 'other']) await mkdir(path.join(dir, name));
    const { stdout } = await runCli(['prune', dir, '--keep-last', '1']);
    expect(await visibleIn(dir)).toEqual(['4', '5', '6', '7', 'other']);
    expect(stdout).toMatch(/ {2}damaged {2}"5": /u);
    expect(stdout).toMatch(/ {2}foreign {2}"6": a symbolic link/u);
  });

  it('removes half-made snapshots whose process has ended, once they are stale', async () => {
    const dir = await tempDir();
    await fiveHeights(dir);
    const leave = async (name: string, age: number): Promise<void> => {
      const [work, inner] = [path.join(dir, name), path.join(dir, name, 'new')];
      await mkdir(inner, { recursive: true });
      await writeFile(path.join(work, '.lock'), 'a lock of swingsnap\n');
      await writeFile(path.join(inner, 'chunk'), Buffer.alloc(1000));
      const then = new Date(Date.now() - age);
      const all = [path.join(work, '.lock'), path.join(inner, 'chunk'), inner, work];
      for (const file of all) await utimes(file, then, then);
    };
    await leave('.8-0123456789ab', 3 * DAY);
    await leave('.9-0123456789ab', DAY);
    const staged = await directoryStorage(dir).stage('10');
    await leave('.11-0123456789ab', 3 * DAY);
    await writeFile(path.join(dir, '.11-0123456789ab', 'new', 'newer'), '');
    const live = (await readdir(dir)).find((name) => name.startsWith('.10-'));
    // Beginning a snapshot removed those of dead processes.
    await leave('.8-0123456789ab', 3 * DAY);
    await leave('.9-0123456789ab', DAY);
    const words = ['prune', dir, '--keep-last', '9'];
    expect(await runCli([...words, '--dry-run', '--json'])).toMatchObject({
      json: { leftovers: [{ name: '.8-0123456789ab', size: 1020 }], freed: 1020 },
    });
    expect(await runCli([...words, '--json'])).toMatchObject({
      json: { leftovers: [{ name: '.8-0123456789ab', size: 1020 }] },
    });
    const hidden = async (): Promise<string[]> =>
      (await readdir(dir)).filter((name) => name.startsWith('.')).sort();
    expect(await hidden()).toEqual([live, '.11-0123456789ab', '.9-0123456789ab'].sort());
    await runCli([...words, '--stale', '0']);
    expect(await hidden()).toEqual([live]);
    await staged.discard();
  });

  it('keeps what is from the future, and says so', async () => {
    const dir = await tempDir();
    const ahead = new Date(Date.now() + 300 * DAY).toISOString();
    await makePlace(dir, [
      { height: 1, at: day(1) },
      { height: 2, at: ahead },
      { height: 3, at: day(2) },
      { height: 4, at: day(3) },
    ]);
    const { stdout } = await runCli(['prune', dir, '--keep-within', '1d']);
    expect(stdout).toMatch(/ 2 .*kept: from the future\n/u);
    expect(await visibleIn(dir)).toEqual(['2', '4']);
  });
});

it('retrieve removes by the same rules once its snapshot is there', async () => {
  const dir = await tempDir();
  const [home, place] = [path.join(dir, 'home'), path.join(dir, 'place')];
  await buildStore(path.join(home, 'data', 'agoric'), tinySpec);
  await makePlace(place, [
    { height: 1, at: day(1) },
    { height: 2, at: day(2) },
    { height: 3, at: day(2) },
    { height: 4, at: day(3) },
  ]);
  const words = ['retrieve', '--home', home, '--snapshot-dir', place, '--json'];
  const { json } = await runCli([...words, '--keep-daily', '3', '--keep-height', '1']);
  expect(json).toMatchObject({ removedHeights: [2] });
  const { height } = json as { height: number };
  expect(await visibleIn(place)).toEqual(['1', '3', '4', String(height)].sort());
});
