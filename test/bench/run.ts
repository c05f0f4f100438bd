/** Runs a race: the contenders in turn, so that other work of the machine affects all. */
import { existsSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender, Race } from './contenders.ts';
import { measure, type Run } from './measure.ts';

export interface Figures {
  readonly name: string;
  /** Median, least and most of the runs, in seconds. */
  readonly seconds: number;
  readonly least: number;
  readonly most: number;
  /** Median, in seconds of all processors. */
  readonly cpuSeconds: number;
  /** The highest of the runs, in bytes. */
  readonly peakBytes: number;
  /** Bytes of what a run makes. */
  readonly madeBytes: number | undefined;
}

export interface Result {
  readonly title: string;
  readonly ours: Figures;
  readonly rivals: readonly Beside[];
}

export interface Beside extends Figures {
  /** The median of the ratios of neighbouring runs, our time over this rival's. */
  readonly ratio: number;
  /** Undefined if the race has none. */
  readonly target: number | undefined;
}

type Lap = Pick<Run, 'seconds' | 'cpuSeconds' | 'peakBytes'>;

/** Runs only our side of a race. */
export async function runAlone(race: Race): Promise<Figures> {
  const { ours } = race;
  const only = await lap(ours);
  return figuresOf(ours.name, [only], await madeBy(ours));
}

/**
 * Runs races one after the other, each with so many runs, and says on standard error what they gave.
 * @param only what the titles of the races must have in them. The others before them still run once, since later ones need
 *   what they make, and give no result.
 */
export async function runRaces(
  store: string,
  races: readonly Race[],
  runs: number,
  only: string,
): Promise<Result[]> {
  const results: Result[] = [];
  const isWanted = ({ title }: Race): boolean => title.includes(only);
  const end = races.findLastIndex(isWanted) + 1;
  for (const race of races.slice(0, end)) {
    const result = await runRace(race, isWanted(race) ? runs : 1);
    if (!isWanted(race)) continue;
    results.push(result);
    const ratios = result.rivals.map(({ name, ratio }) => `${ratio.toFixed(2)} of ${name}`);
    process.stderr.write(`${store}: ${race.title}: ${ratios.join('; ')}\n`);
  }
  return results;
}

async function runRace(race: Race, runs: number): Promise<Result> {
  const contenders: readonly Contender[] = [...race.rivals, race.ours];
  const laps = contenders.map((): Lap[] => []);
  const made: (number | undefined)[] = [];
  for (let run = 0; run < runs; run += 1) {
    for (const [i, contender] of contenders.entries()) {
      laps[i]!.push(await lap(contender));
      made[i] = await madeBy(contender);
    }
  }
  const figures = contenders.map(({ name }, i) => figuresOf(name, laps[i]!, made[i]));
  const ours = laps.at(-1)!;
  return {
    title: race.title,
    ours: figures.at(-1)!,
    rivals: race.rivals.map(({ target }, i) => ({
      ...figures[i]!,
      ratio: median(ours.map(({ seconds }, run) => seconds / laps[i]![run]!.seconds)),
      target,
    })),
  };
}

async function lap({ before, command, after, makes }: Contender): Promise<Lap> {
  if (makes !== undefined) await rm(makes, { recursive: true, force: true });
  if (before !== undefined) await measure(before);
  // No run may wait for a disk that still writes what an earlier run left.
  await measure(['sync']);
  const run = await measure(command);
  if (after !== undefined) await measure(after);
  return run;
}

async function madeBy({ makes, madeBytes }: Contender): Promise<number | undefined> {
  return madeBytes === undefined ? sizeOf(makes) : madeBytes();
}

function figuresOf(name: string, laps: readonly Lap[], madeBytes: number | undefined): Figures {
  const seconds = laps.map((each) => each.seconds);
  return {
    name,
    seconds: median(seconds),
    least: Math.min(...seconds),
    most: Math.max(...seconds),
    cpuSeconds: median(laps.map((each) => each.cpuSeconds)),
    peakBytes: Math.max(...laps.map((each) => each.peakBytes)),
    madeBytes,
  };
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

async function sizeOf(path: string | undefined): Promise<number | undefined> {
  if (path === undefined || !existsSync(path)) return undefined;
  const stat = await lstat(path);
  if (!stat.isDirectory()) return stat.size;
  let size = 0;
  for (const name of await readdir(path)) size += (await sizeOf(join(path, name))) ?? 0;
  return size;
}
