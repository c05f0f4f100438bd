/** How long the blocks of a node take that commits meanwhile: alone, and beside one retrieve after the other. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SAME_SQLITE } from '../fixtures/same-sqlite.ts';
import { measure } from './measure.ts';

export interface WriterFigures {
  /** What runs beside the writer. */
  readonly beside: string;
  readonly commits: number;
  /** Of the times from the start of a block to the end of its commit, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** Median of the retrieves, in seconds; undefined if there were none. */
  readonly seconds: number | undefined;
}

/** More often than a node, so that a percentile means something. */
const PAUSE_MS = 50;

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

const ALL = ['--nice', '0', '--concurrency', String(availableParallelism())];
const BESIDE: readonly (readonly [string, readonly string[] | undefined])[] = [
  ['nothing', undefined],
  ['retrieve, all processors, niceness 0', ALL],
  ['retrieve', []],
];

/** In turn, so that other work of the machine affects all figures. */
const ROUNDS = 3;

/** @param seconds that each of the figures is measured for, at least */
export async function measureWriter(
  store: string,
  work: string,
  seconds: number,
): Promise<WriterFigures[]> {
  const stateDir = join(work, 'writer-store');
  const measured = BESIDE.map(([beside, flags]) => ({
    beside,
    flags,
    blocks: [] as number[],
    retrieves: [] as number[],
  }));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { flags, blocks, retrieves } of measured) {
      await rm(stateDir, { recursive: true, force: true });
      await cp(store, stateDir, { recursive: true });
      const stop = await startWriter(stateDir);
      const end = performance.now() + (seconds * 1000) / ROUNDS;
      if (flags === undefined) await sleep(end - performance.now());
      else {
        while (performance.now() < end) retrieves.push(await retrieve(stateDir, work, flags));
      }
      blocks.push(...(await stop()));
    }
  }
  return measured.map(({ beside, blocks, retrieves }) => ({
    beside,
    ...percentiles(blocks),
    seconds: part(retrieves, 0.5),
  }));
}

/**
 * Starts the writer, and waits for its first block.
 * @returns a function that ends it, and gives the milliseconds of its blocks
 */
async function startWriter(stateDir: string): Promise<() => Promise<number[]>> {
  const child = fork(pathOf('./writer-run.js'), [stateDir, String(PAUSE_MS)], {
    execArgv: [...SAME_SQLITE],
  });
  const answer = async (): Promise<unknown> => {
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the writer ended with ${String(code)}`);
    });
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
    return message;
  };
  await answer();
  return async () => {
    child.send('stop');
    return (await answer()) as number[];
  };
}

/** @returns seconds */
async function retrieve(stateDir: string, work: string, flags: readonly string[]): Promise<number> {
  const snapshots = join(work, 'writer-snapshots');
  await rm(snapshots, { recursive: true, force: true });
  const words = ['retrieve', '--state-dir', stateDir, '--snapshot-dir', snapshots, '--create'];
  const run = await measure([process.execPath, pathOf('../../bin/run.js'), ...words, ...flags]);
  return run.seconds;
}

function percentiles(milliseconds: readonly number[]): Omit<WriterFigures, 'beside' | 'seconds'> {
  return {
    commits: milliseconds.length,
    p50: part(milliseconds, 0.5) ?? 0,
    p99: part(milliseconds, 0.99) ?? 0,
    longest: Math.max(...milliseconds),
  };
}

/** The number that this part of the others does not exceed. */
function part(numbers: readonly number[], share: number): number | undefined {
  return numbers.toSorted((a, b) => a - b)[Math.ceil(numbers.length * share) - 1];
}

export function writerTable(figures: readonly WriterFigures[]): string {
  return [
    '| beside the writer | commits | p50 ms | p99 ms | longest ms | retrieve s |',
    '| --- | --- | --- | --- | --- | --- |',
    ...figures.map(({ beside, commits, p50, p99, longest, seconds }) => {
      const times = [p50, p99, longest].map((time) => time.toFixed(1));
      return `| ${[beside, commits, ...times, seconds?.toFixed(2) ?? ''].join(' | ')} |`;
    }),
  ].join('\n');
}
