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

/** Each niceness that a thread of a process has. */
function nicenessOf(pid: number): number[] {
  const found = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
  return [...new Set(found)];
}

/** The niceness of an operation that waits for a height which never comes, and of its process. */
async function nicenessWhile(...args: readonly string[]): Promise<number[]> {
  const command = start([...args, '--state-dir', S, '--at-height', '100000000']);
  try {
    const pid = await until(() => {
      if (command.child.exitCode !== null) throw new Error('it has ended');
      return operationOn(S)?.pid;
    });
    return nicenessOf(pid);
  } finally {
    command.child.kill('SIGTERM');
    await command.told;
  }
}

describe.runIf(process.platform === 'linux')('the priority beside a live store', () => {
  it.each([
    { more: [], niceness: 10 },
    { more: ['--nice', '0'], niceness: 0 },
    { more: ['--nice', '19'], niceness: 19 },
  ])('of retrieve $more and of the worker of export is $niceness', async ({ more, niceness }) => {
    const dir = await fileDir();
    const retrieve = ['retrieve', '--snapshot-dir', join(dir, 'D'), '--create', ...more];
    expect(await nicenessWhile(...retrieve)).toEqual([atLeast(niceness)]);
    const exporting = ['export', '--export-dir', join(dir, 'E'), ...more];
    expect(await nicenessWhile(...exporting)).toEqual([atLeast(niceness)]);
  });

  it.each(['20', 'low'])('is not %s', async (niceness) => {
    const retrieve = ['retrieve', '--state-dir', S, '--snapshot-dir', join(S, 'D')];
    const told = await swingsnap(...retrieve, '--nice', niceness);
    expect(told).toMatchObject({ exitCode: 2, error: { code: 'USAGE' } });
    expect(told.error?.message).toContain(`a niceness from 0 to 19, found ${niceness}`);
  });

  it('is not for what reads something else', async () => {
    const dir = await fileDir();
    const E = join(dir, 'E');
    const retrieve = ['retrieve', '--snapshot-dir', join(dir, 'D'), '--export-dir', E];
    for (const args of [retrieve, ['export', '--from', E, '--export-dir', join(dir, 'F')]]) {
      const told = await swingsnap(...args, '--nice', '5');
      expect(told).toMatchObject({ exitCode: 2, error: { code: 'USAGE' } });
      expect(told.error?.message).toContain('--nice');
    }
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
