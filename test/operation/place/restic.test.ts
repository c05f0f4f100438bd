/** The rules of retention beside those of restic, which is on the machine of most operators. */
import { execFile, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { keptBy, type DatedHeight, type KeepRules } from '../../../src/operation/place/rules.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const run = promisify(execFile);
const isInstalled = spawnSync('restic', ['version']).status === 0;
/** Histories to compare; `.ci/run` asks for some hundreds. */
const HISTORIES = Number(process.env['SWINGSNAP_RESTIC_HISTORIES'] ?? 16);
const SNAPSHOTS = 40;
const AT_ONCE = 8;
const HOUR = 3_600_000;

const tempDir = useTempDir();

/** What `forget --json` says of one group. Counters are what is left of the rules by period. */
interface Forgotten {
  readonly keep: readonly { readonly time: string }[];
  readonly reasons: readonly { readonly counters: Readonly<Record<string, number>> }[];
}

/** Numbers from 0 to 1, always the same. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Some heights close to each other, some days apart, over a turn of a year. */
function makeHeights(next: () => number): DatedHeight[] {
  let at = Date.parse('2025-11-20T00:00:00Z');
  return Array.from({ length: SNAPSHOTS }, (_, index) => {
    at += Math.ceil(next() * (next() < 0.6 ? 9 : 90)) * HOUR;
    return { height: 100 + index, at: new Date(at) };
  });
}

function makeRules(next: () => number): KeepRules {
  const some = (most: number): number | undefined =>
    next() < 0.5 ? undefined : 1 + Math.floor(next() * most);
  const days = some(40);
  const rules = { last: some(5), daily: some(12), weekly: some(8), monthly: some(4) };
  const within = days === undefined ? {} : { within: days * 24 * HOUR };
  const isEmpty = days === undefined && Object.values(rules).every((rule) => rule === undefined);
  return { ...rules, ...within, ...(isEmpty ? { daily: 3 } : {}) };
}

function words({ last, daily, weekly, monthly, within }: KeepRules): string[] {
  const given = Object.entries({ last, daily, weekly, monthly }).flatMap(([name, count]) =>
    count === undefined ? [] : [`--keep-${name}`, String(count)],
  );
  return within === undefined ? given : [...given, '--keep-within', `${within / 24 / HOUR}d`];
}

it.runIf(isInstalled)(
  `keep what restic keeps, of ${HISTORIES} histories`,
  async () => {
    const dir = await tempDir();
    const env = {
      ...process.env,
      TZ: 'UTC',
      RESTIC_PASSWORD: 'a test',
      RESTIC_REPOSITORY: path.join(dir, 'repository'),
      RESTIC_CACHE_DIR: path.join(dir, 'cache'),
    };
    const restic = async (...args: string[]): Promise<string> =>
      (await run('restic', args, { env, cwd: dir, maxBuffer: 1e8 })).stdout;
    const next = random(7);
    const heights = makeHeights(next);
    // Each snapshot belongs to some of the histories, by its tags: so few snapshots make many histories.
    const histories = Array.from({ length: HISTORIES }, (_, index) => {
      const share = 0.1 + 0.9 * next();
      const taken = heights.filter(() => next() < share);
      return { tag: `h${index}`, heights: taken, rules: makeRules(next) };
    }).filter(({ heights: taken }) => taken.length > 0);
    await restic('init', '--quiet');
    await writeFile(path.join(dir, 'file'), '');
    for (const height of heights) {
      const tags = histories.filter((each) => each.heights.includes(height)).map(({ tag }) => tag);
      const time = height.at.toISOString().slice(0, 19).replace('T', ' ');
      await restic('backup', '--quiet', '--time', time, '--tag', tags.join(','), 'file');
    }
    const compare = async ({ tag, heights: taken, rules }: (typeof histories)[number]) => {
      const asked = ['--no-lock', '--dry-run', '--json', '--group-by', '', '--tag', tag];
      const text = await restic('forget', ...asked, ...words(rules));
      const [{ keep, reasons }] = JSON.parse(text) as [Forgotten];
      const theirs = new Set(keep.map(({ time }) => Date.parse(time)));
      // Since 0.16 restic keeps the oldest too, if a rule by period has something left.
      const left = Object.values(reasons.at(-1)?.counters ?? {}).some((count) => count > 0);
      if (left) theirs.add(taken[0]?.at.getTime() ?? 0);
      const kept = keptBy(taken, rules, new Date());
      const ours = taken.filter(({ height }) => kept.has(height)).map(({ at }) => at.getTime());
      expect({ rules, kept: ours }).toEqual({ rules, kept: [...theirs].sort((a, b) => a - b) });
    };
    for (let from = 0; from < histories.length; from += AT_ONCE) {
      await Promise.all(histories.slice(from, from + AT_ONCE).map(compare));
    }
  },
  600_000,
);
