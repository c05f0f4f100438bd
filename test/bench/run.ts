/** Runs a race: both contenders in turn, so that other work of the machine affects both. */
import { existsSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measure } from './measure.ts';
import type { Contender, Race } from './races.ts';

export interface Figures {
  readonly name: string;
  /** Median, least and most of the runs, in seconds. */
  readonly seconds: number;
  readonly least: number;
  readonly most: number;
  /** The highest of the runs, in bytes. */
  readonly peakBytes: number;
  /** Bytes of what a run makes. */
  readonly madeBytes: number | undefined;
}

export interface Result {
  readonly title: string;
  readonly ours: Figures;
  readonly rival: Figures;
  /** The median of the ratios of neighbouring runs, our time over the rival's. */
  readonly ratio: number;
  /** Undefined if the race has none. */
  readonly target: number | undefined;
}

interface Lap {
  readonly seconds: number;
  readonly peakBytes: number;
}

/** Runs only our side of a race. */
export async function runAlone(race: Race): Promise<Figures> {
  const { ours } = race;
  const only = await lap(ours);
  return figuresOf(ours.name, [only], await madeBy(ours));
}

export async function runRace(race: Race, runs: number): Promise<Result> {
  const ours: Lap[] = [];
  const rival: Lap[] = [];
  let ourBytes: number | undefined;
  let rivalBytes: number | undefined;
  for (let run = 0; run < runs; run += 1) {
    rival.push(await lap(race.rival));
    rivalBytes = await madeBy(race.rival);
    ours.push(await lap(race.ours));
    ourBytes = await madeBy(race.ours);
  }
  const ratios = ours.map(({ seconds }, run) => seconds / rival[run]!.seconds);
  return {
    title: race.title,
    ours: figuresOf(race.ours.name, ours, ourBytes),
    rival: figuresOf(race.rival.name, rival, rivalBytes),
    ratio: median(ratios),
    target: race.target,
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
