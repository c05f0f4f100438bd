/** In processes of their own: a lower priority cannot be taken back. */
import { execFile } from 'node:child_process';
import { getPriority } from 'node:os';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const built = new URL('../../../dist/io/threads/priority.js', import.meta.url).href;

/** Lowers the priority, and tells the niceness of all threads, of a thread and of a child process started later. */
const SCRIPT = `
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { lowerPriority } from ${JSON.stringify(built)};

const niceness = (task) => Number(readFileSync(task + '/stat', 'utf8').split(') ')[1].split(' ')[16]);
const ofThreads = () =>
  readdirSync('/proc/self/task').map((id) => niceness('/proc/self/task/' + id));
// Starts the threads that work for node:fs.
await stat('/');
lowerPriority(...JSON.parse(process.argv[1]));
const before = ofThreads();
const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
await new Promise((resolve) => worker.once('online', resolve));
const child = Number(execFileSync('nice', { encoding: 'utf8' }));
console.log(JSON.stringify({ before, after: ofThreads(), child }));
await worker.terminate();
`;

interface Niceness {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly child: number;
}

async function lowered(words: readonly string[], ...args: readonly unknown[]): Promise<Niceness> {
  const [command, ...rest] = [...words, process.execPath];
  const node = ['--input-type=module', '-e', SCRIPT, JSON.stringify(args)];
  const { stdout } = await promisify(execFile)(command, [...rest, ...node]);
  return JSON.parse(stdout) as Niceness;
}

/** The tests may run at a lower priority themselves. */
const atLeast = (niceness: number): number => Math.max(niceness, getPriority());

describe.runIf(process.platform === 'linux')('a lower priority', () => {
  it('is that of all threads, of those started later, and of processes', async () => {
    const { before, after, child } = await lowered([]);
    expect(before.length).toBeGreaterThan(4);
    expect(new Set(before)).toEqual(new Set([atLeast(10)]));
    expect(after.length).toBeGreaterThan(before.length);
    expect(new Set(after)).toEqual(new Set([atLeast(10)]));
    expect(child).toBe(atLeast(10));
  });

  it('is the one that is asked for', async () => {
    expect((await lowered([], 3)).child).toBe(atLeast(3));
  });

  it('is never a higher one', async () => {
    const { after, child } = await lowered(['nice', '-n', '19'], 10);
    expect(new Set(after)).toEqual(new Set([19]));
    expect(child).toBe(19);
  });

  it('does not end with a thread that is gone', async () => {
    // Larger than any id of a thread.
    expect((await lowered([], 10, [2 ** 22 + 1, 0])).child).toBe(atLeast(10));
  });
});
