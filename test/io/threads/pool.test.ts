/** The pool of the built code, since threads cannot load TypeScript. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type * as Pool from '../../../src/io/threads/pool.ts';
import type * as Recipes from '../../../src/io/threads/recipe.ts';
import type * as Task from '../../../src/io/threads/task.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const built = (file: string): string => new URL(`../../../dist/${file}`, import.meta.url).href;
const { followIn, withWorkerPool } = (await import(built('io/threads/pool.js'))) as typeof Pool;
const { given, recipeFor } = (await import(built('io/threads/recipe.js'))) as typeof Recipes;
const { workerTask } = (await import(built('io/threads/task.js'))) as typeof Task;

const tempDir = useTempDir();
const LARGE = 5 * 1024 * 1024;

const TASKS = `
import { isMainThread, threadId } from 'node:worker_threads';
import { createHash } from 'node:crypto';
import { InterruptedError, VerificationError } from ${JSON.stringify(built('errors.js'))};
export const where = () => ({ isMainThread, threadId });
export const hash = ({ bytes }) => ({
  bytes,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});
export const refuse = () => {
  throw new VerificationError('TEST', 'refused', { path: 'p', expected: 1, found: 2, hint: 'h' });
};
export const interrupt = () => { throw new InterruptedError('SIGINT'); };
export const fail = () => { throw new TypeError('not ours'); };
export const die = () => process.exit(3);
const turns = [];
export const turn = ({ name }) => { turns.push(name); };
export const turnsHere = () => new Promise((resolve) => setTimeout(resolve, 20, [threadId, turns]));
export const slow = () => new Promise((resolve) => setTimeout(resolve, 20, threadId));
`;

async function tasks(): Promise<(name: string) => Task.WorkerTask<unknown, unknown>> {
  const dir = join(await tempDir(), 'tasks');
  await mkdir(dir);
  const file = join(dir, 'tasks.mjs');
  await writeFile(file, TASKS);
  const exported = (await import(file)) as Record<string, (input: unknown) => unknown>;
  return (name) => workerTask(new URL(`file://${file}`).href, exported[name]!);
}

/** Enough work to start threads. */
const large = (): { bytes: Uint8Array } => ({ bytes: new Uint8Array(LARGE).fill(7) });

function expectSame(found: unknown, sha256: string): void {
  const { bytes, ...rest } = found as { readonly bytes: Uint8Array; readonly sha256: string };
  expect(rest).toEqual({ sha256 });
  expect(Buffer.compare(bytes, large().bytes)).toBe(0);
}

describe('a pool of threads', () => {
  it('follows a recipe in a thread, whose size counts as work, unless its result is there', async () => {
    const task = await tasks();
    await withWorkerPool(2, async (pool) => {
      const where = recipeFor(task('where'), {});
      expect(await followIn(pool, where, 1)).toMatchObject({ isMainThread: true });
      expect(await followIn(pool, where, LARGE)).toMatchObject({ isMainThread: false });
      const there = { bytes: new Uint8Array(3) };
      expect(await followIn(pool, given(there), LARGE)).toBe(there);
    });
  });

  it('runs a little work in this thread first, and the rest in threads', async () => {
    const task = await tasks();
    await withWorkerPool(2, async (pool) => {
      expect(await pool.run(task('where'), {})).toMatchObject({ isMainThread: true });
      await pool.run(task('hash'), large());
      expect(await pool.run(task('where'), {})).toMatchObject({ isMainThread: false });
    });
  });

  it('transfers bytes that are given away, copies others, and transfers results', async () => {
    const task = await tasks();
    await withWorkerPool(1, async (pool) => {
      const sha256 = createHash('sha256').update(large().bytes).digest('hex');
      const kept = large();
      expectSame(await pool.run(task('hash'), kept), sha256);
      expect(kept.bytes.length).toBe(LARGE);
      const given = large();
      expectSame(await pool.run(task('hash'), given, [given.bytes]), sha256);
      expect(given.bytes.length).toBe(0);
      // A view of a part: the rest of its buffer stays.
      const { bytes } = large();
      const part = bytes.subarray(10, 20);
      await pool.run(task('hash'), { bytes: part }, [part]);
      expect(bytes.length).toBe(LARGE);
    });
  });

  it('throws swingsnap errors with their class and facts, and other errors as they are', async () => {
    const task = await tasks();
    await withWorkerPool(1, async (pool) => {
      await pool.run(task('hash'), large());
      await expect(pool.run(task('refuse'), {})).rejects.toMatchObject({
        name: 'VerificationError',
        code: 'TEST',
        exitCode: 3,
        message: 'refused',
        path: 'p',
        expected: 1,
        found: 2,
        hint: 'h',
      });
      await expect(pool.run(task('interrupt'), {})).rejects.toMatchObject({
        name: 'InterruptedError',
        code: 'INTERRUPTED',
        exitCode: 130,
        message: 'stopped by SIGINT',
      });
      await expect(pool.run(task('fail'), {})).rejects.toMatchObject({ message: 'not ours' });
    });
  });

  it('fails with the task whose thread died, and names the task', async () => {
    const task = await tasks();
    await withWorkerPool(1, async (pool) => {
      await pool.run(task('hash'), large());
      await expect(pool.run(task('die'), {})).rejects.toMatchObject({
        code: 'WORKER_FAILED',
        message: expect.stringContaining('die') as string,
      });
    });
  });

  it('retains none of its results', async () => {
    const task = await tasks();
    await withWorkerPool(2, async (pool) => {
      for (let i = 0; i < 60; i += 1) {
        const given = large();
        await pool.run(task('hash'), given, [given.bytes]);
      }
      globalThis.gc?.();
      expect(process.memoryUsage().arrayBuffers).toBeLessThan(10 * LARGE);
    });
  });

  it('has as many threads as requested', async () => {
    const task = await tasks();
    for (const concurrency of [1, 3]) {
      await withWorkerPool(concurrency, async (pool) => {
        await pool.run(task('hash'), large());
        const runs = Array.from({ length: 12 }, async () => pool.run(task('slow'), {}));
        expect(new Set(await Promise.all(runs)).size).toBeLessThanOrEqual(concurrency);
      });
    }
  });

  it('lets each thread have one turn, once, and tells the first failure when all have ended', async () => {
    const task = await tasks();
    await withWorkerPool(3, async (pool) => {
      const turn = task('turn') as Task.WorkerTask<unknown, void>;
      expect(await pool.inEachThread(turn, { name: 'a' }, LARGE)).toBe(true);
      expect(await pool.inEachThread(turn, { name: 'b' }, 0)).toBe(true);
      const runs = Array.from({ length: 12 }, async () => pool.run(task('turnsHere'), {}));
      const found = new Map((await Promise.all(runs)) as [number, string[]][]);
      expect([...found.values()]).toEqual(Array.from({ length: 3 }, () => ['a', 'b']));
      const refused = task('refuse') as Task.WorkerTask<unknown, void>;
      await expect(pool.inEachThread(refused, {}, 0)).rejects.toMatchObject({ code: 'TEST' });
      // No thread waits for one that failed.
      expect(await pool.inEachThread(turn, { name: 'c' }, 0)).toBe(true);
    });
  });

  it('has no turns where little work is to come, and no thread for it', async () => {
    const task = await tasks();
    await withWorkerPool(2, async (pool) => {
      const turn = task('turn') as Task.WorkerTask<unknown, void>;
      expect(await pool.inEachThread(turn, { name: 'a' }, 1000)).toBe(false);
      pool.warmUp(1000, [turn]);
      expect(await pool.run(task('where'), {})).toMatchObject({ isMainThread: true });
    });
  });

  it('starts threads early for much work, whose tasks cannot be loaded early', async () => {
    const task = await tasks();
    await withWorkerPool(2, async (pool) => {
      pool.warmUp(LARGE, [{ ...task('where'), module: 'file:///nowhere.mjs' }]);
      expect(await pool.run(task('where'), {})).toMatchObject({ isMainThread: false });
    });
  });
});
