/** `list`, as an operator and a monitor call it. */
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { makePlace } from '../operation/place/made-place.ts';

const tempDir = useTempDir();
const ago = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();

describe('list', () => {
  it('shows whole heights in columns, and what else is there with its reason', async () => {
    const dir = await tempDir();
    await makePlace(dir, [
      { height: 900, modified: '2025-03-04T05:06:07.000Z', chunks: ['a', 'b'] },
      { height: 1000, at: '2026-01-02T03:04:05.678Z', chunks: ['b', 'c', 'd'] },
      { height: 800 },
    ]);
    await rm(path.join(dir, '800', 'manifest.json'));
    await writeFile(path.join(dir, 'a\nb\u001b[2J'), '');
    await symlink('1000', path.join(dir, '7'));
    const { stdout, exitCode } = await runCli(['list', dir]);
    expect(exitCode).toBe(0);
    const lines = stdout.split('\n').map((line) => line.replaceAll(dir, 'PLACE'));
    expect(lines.slice(0, 4)).toEqual([
      'PLACE',
      'HEIGHT  MADE (UTC)             BY     MODE         MODULES      RAW  STORED     OWN  CONTENT HASH',
      expect.stringMatching(
        /^ {2}1000 {2}2026-01-02 03:04:05 {4}0\.1\.0 {2}operational {2}swingset {2}5\.0 kB {2}1\.\d kB {2}1\.\d kB {2}[0-9a-f]{12}$/u,
      ),
      expect.stringMatching(/^ {3}900 {2}2025-03-04 05:06:07 \* {2}0\.1\.0 /u),
    ]);
    expect(lines[4]).toContain('its manifest does not say when');
    expect(lines.slice(5, -1).sort()).toEqual(
      [
        '',
        '  damaged  "800": the snapshot has no manifest: PLACE/800/manifest.json',
        String.raw`  foreign  "7": a symbolic link with the name of a height`,
        String.raw`  foreign  "a\nb\u001b[2J": a regular file that is not named after a height`,
        'no whole snapshots, and left alone:',
      ].sort(),
    );
    const long = await runCli(['list', '--long'], { env: { SWINGSNAP_SNAPSHOT_DIR: dir } });
    expect(long.stdout).toMatch(/ [0-9a-f]{64}\n/u);
  });

  it('gives the same as one object, with what each height has for itself', async () => {
    const dir = await tempDir();
    await makePlace(dir, [
      { height: 900, at: '2026-01-01T00:00:00.000Z', chunks: ['a', 'b'] },
      { height: 1000, modified: '2026-01-02T00:00:00.000Z', chunks: ['b', 'c', 'd'] },
    ]);
    await mkdir(path.join(dir, 'other'));
    const { json } = await runCli(['list', dir, '--json']);
    const heights = (json as { heights: { storedSize: number; ownSize: number }[] }).heights;
    expect(heights.map(({ storedSize, ownSize }) => storedSize - ownSize)).toEqual([100, 100]);
    expect(json).toMatchObject({
      place: dir,
      heights: [
        {
          height: 1000,
          madeAt: '2026-01-02T00:00:00.000Z',
          madeAtFrom: 'file',
          madeBy: 'swingsnap 0.1.0',
          formatVersion: 2,
          artifactMode: 'operational',
          modules: ['swingset'],
          rawSize: 5000,
          contentHash: expect.stringMatching(/^[0-9a-f]{64}$/u) as string,
        },
        { height: 900, madeAt: '2026-01-01T00:00:00.000Z', madeAtFrom: 'manifest' },
      ],
      others: [{ name: 'other', state: 'foreign' }],
      othersLeftOut: 0,
    });
  });

  it('tells a hundred of each state, and counts the others', async () => {
    const dir = await tempDir();
    await makePlace(dir, [{ height: 1 }, { height: 2 }]);
    await rm(path.join(dir, '1', 'manifest.json'));
    for (let index = 0; index < 120; index += 1) await writeFile(path.join(dir, `f${index}`), '');
    const { json } = await runCli(['list', dir, '--json']);
    const { others, othersLeftOut } = json as {
      others: { state: string }[];
      othersLeftOut: number;
    };
    expect(others.filter(({ state }) => state === 'foreign')).toHaveLength(100);
    expect(others.filter(({ state }) => state === 'damaged')).toHaveLength(1);
    expect(othersLeftOut).toBe(20);
  });

  it('fails with exit code 7 if the newest whole height is too old for --max-age', async () => {
    const dir = await tempDir();
    await makePlace(dir, [
      { height: 1, at: ago(30) },
      { height: 2, at: ago(20) },
      { height: 3, at: ago(1) },
    ]);
    const fresh = ['list', dir, '--max-age', '26h'];
    expect(await runCli(fresh)).toMatchObject({ exitCode: 0 });
    // What is not whole does not count.
    await rm(path.join(dir, '3', 'entries.jsonl.zst'));
    expect(await runCli(fresh)).toMatchObject({ exitCode: 0 });
    await rm(path.join(dir, '2', 'entries.jsonl.zst'));
    const old = await runCli([...fresh, '--quiet']);
    expect(old).toMatchObject({ exitCode: 7, stdout: '' });
    expect(old.stderr).toContain('the newest snapshot is too old');
    expect(old.stderr).toContain('height 1, made at');
    await rm(path.join(dir, '1'), { recursive: true });
    expect(await runCli([...fresh, '--json'])).toMatchObject({
      exitCode: 7,
      json: { error: { code: 'TOO_OLD', found: 'no whole snapshot', exitCode: 7 } },
    });
  });

  it('does not take a height from the future for a fresh one', async () => {
    const dir = await tempDir();
    await makePlace(dir, [{ height: 1, at: ago(-24 * 300) }]);
    expect(await runCli(['list', dir, '--max-age', '1d', '--json'])).toMatchObject({
      json: { error: { code: 'TOO_OLD', message: expect.stringContaining('future') as string } },
    });
  });

  it('says what is wrong with a path that is no snapshot dir', async () => {
    const dir = await tempDir();
    await makePlace(dir, [{ height: 1 }]);
    const codeOf = async (...words: string[]): Promise<unknown> => {
      const { json } = await runCli(['list', ...words, '--json']);
      const { code, exitCode } = (json as { error: { code: string; exitCode: number } }).error;
      return [code, exitCode];
    };
    expect(await codeOf()).toEqual(['USAGE', 2]);
    expect(await codeOf(path.join(dir, 'nothing'))).toEqual(['PLACE_MISSING', 5]);
    expect(await codeOf(path.join(dir, '1'))).toEqual(['NOT_A_PLACE', 2]);
    expect(await codeOf(path.join(dir, '1', 'manifest.json'))).toEqual(['NOT_A_DIRECTORY', 2]);
  });
});

it('tells --metrics-file how old the newest is, also when it is too old', async () => {
  const dir = await tempDir();
  const place = path.join(dir, 'place');
  const at = ago(48);
  await makePlace(place, [{ height: 12, at }]);
  const file = path.join(dir, 'monitor.prom');
  const words = ['list', place, '--max-age', '1d', '--metrics-file', file];
  expect(await runCli(words)).toMatchObject({ exitCode: 7 });
  const text = await readFile(file, 'utf8');
  const made = String(Date.parse(at) / 1000).replaceAll('.', String.raw`\.`);
  expect(text).toMatch(new RegExp(`^swingsnap_newest_timestamp_seconds\\{.*\\} ${made}$`, 'mu'));
  expect(text).toMatch(/^swingsnap_height\{.*\} 12$/mu);
  expect(text).toMatch(/^swingsnap_last_run_exit_code\{.*\} 7$/mu);
});
