/** What an operation leaves to the node whose store it reads. */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultConcurrency } from '../../src/io/threads/concurrency.ts';
import { operationOn } from '../../src/operation/lock/lock.ts';
import { concurrencyFor } from '../../src/operation/retrieve/read-source.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { start, swingsnap, until } from './processes.ts';

const fileDir = useTempDir('file');
let S: string;

beforeAll(async () => {
  S = join(await fileDir(), 'S');
  await buildStore(S, tinySpec);
});
afterAll(closeReference);

/** The tests may run at a lower priority themselves. */
const atLeast = (niceness: number): number => Math.max(niceness, getPriority());

/** At a low priority, on a busy machine. */
const SLOW = { timeout: 180_000 };

/** Each niceness that a thread of a process has. */
function nicenessOf(pid: number): number[] {
  const found = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
  return [...new Set(found)];
}

/** The niceness of an operation that waits for a height which never comes, and of its process. */
async function nicenessWhile(nice: string, ...args: readonly string[]): Promise<number[]> {
  const env = { SWINGSNAP_NICE: nice };
  const command = start([...args, '--state-dir', S, '--at-height', '100000000'], [], '/', env);
  try {
    const pid = await until(async () => {
      if (command.child.exitCode !== null) throw new Error(JSON.stringify(await command.told));
      return operationOn(S)?.pid;
    });
    return nicenessOf(pid);
  } finally {
    command.child.kill('SIGTERM');
    await command.told;
  }
}

describe.runIf(process.platform === 'linux')('the priority beside a live store', SLOW, () => {
  it.each([
    { nice: '', more: [], niceness: 10 },
    { nice: '7', more: [], niceness: 7 },
    { nice: '7', more: ['--nice', '0'], niceness: 0 },
  ])('of retrieve and of the worker of export is $niceness', async ({ nice, more, niceness }) => {
    const dir = await fileDir();
    const retrieve = ['retrieve', '--snapshot-dir', join(dir, 'D'), '--create', ...more];
    expect(await nicenessWhile(nice, ...retrieve)).toEqual([atLeast(niceness)]);
    const exporting = ['export', '--export-dir', join(dir, 'E'), ...more];
    expect(await nicenessWhile(nice, ...exporting)).toEqual([atLeast(niceness)]);
  });

  it.each(['20', 'low'])('is not %s', async (niceness) => {
    const retrieve = ['retrieve', '--state-dir', S, '--snapshot-dir', join(S, 'D')];
    const told = await swingsnap(...retrieve, '--nice', niceness);
    expect(told).toMatchObject({ exitCode: 2, error: { code: 'USAGE' } });
    expect(told.error?.message).toContain(`a niceness from 0 to 19, found ${niceness}`);
  });
});

describe('threads beside a live store', () => {
  const live = { stateDir: '/s', artifactMode: 'operational' } as const;

  it('are those for half of the processors, and elsewhere for all', () => {
    expect(concurrencyFor(live, {})).toBe(defaultConcurrency('half'));
    expect(concurrencyFor({ from: '/s' }, {})).toBe(defaultConcurrency('all'));
    const directory = { exportDir: '/s', remove: 'never', wait: false } as const;
    expect(concurrencyFor(directory, {})).toBe(defaultConcurrency('all'));
  });

  it('are as many as the caller says', () => {
    expect(concurrencyFor(live, { concurrency: 77 })).toBe(77);
    expect(concurrencyFor({ from: '/s' }, { concurrency: 77 })).toBe(77);
  });
});
