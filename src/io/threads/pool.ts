/**
 * Worker threads for pure computation: compression, hashing, checks of whole buffers. The caller bounds the work
 * (`in-order.ts`, `ahead.ts`): a pool accepts any amount.
 */
import type { Piscina } from 'piscina';
import { SwingSnapError } from '../../errors.ts';
import type { AheadLimits } from '../flow/ahead.ts';
import type { QueueLimits } from '../flow/room.ts';
import { defaultConcurrency } from './concurrency.ts';
import { meeting, type Meeting } from './each-thread.ts';
import { errorOf, type Outcome } from './error-message.ts';
import { following, loading, outputThere, recipeFor, type Recipe } from './recipe.ts';
import { bytesIn, ownBuffers, type WorkerTask } from './task.ts';

export interface WorkerPool {
  /** Number of threads. 0 if there are none; then a task runs in the calling thread. */
  readonly concurrency: number;
  /**
   * Runs a task.
   * @param gives bytes of `input` that the caller gives away and must not use again
   * @param size bytes that the task works on; by default those in `input`
   * @throws the task's error; {@link SwingSnapError} `WORKER_FAILED` if its thread ended without a result
   */
  run<Input, Output>(
    task: WorkerTask<Input, Output>,
    input: Input,
    gives?: Iterable<Uint8Array>,
    size?: number,
  ): Promise<Output>;
  /**
   * Runs a task once in each thread. Must not be called again before it has settled.
   * @param size bytes of the work that is to come
   * @returns whether it was run: not if there are no threads, or if so little work is not worth them
   * @throws as {@link run}
   */
  inEachThread<Input>(task: WorkerTask<Input, void>, input: Input, size: number): Promise<boolean>;
  /**
   * Starts threads while the caller goes on, if they are worth it.
   * @param size bytes of the work that is to come
   * @param tasks of that work; the threads load them
   */
  warmUp(size: number, tasks?: readonly WorkerTask<never, unknown>[]): void;
}

/** A pool without threads: each task runs in the calling thread. */
export const inlinePool: WorkerPool = {
  concurrency: 0,
  run: async (task, input) => task.run(input),
  inEachThread: async () => false,
  warmUp: () => undefined,
};

/**
 * Follows a recipe in a thread of the pool, unless its result is there already. Gives the recipe's bytes away.
 * @param size bytes that it is about
 * @throws what its task throws, or as {@link WorkerPool.run}
 */
export async function followIn<Output>(
  pool: WorkerPool,
  recipe: Recipe<Output>,
  size: number,
): Promise<Output> {
  const there = outputThere(recipe);
  if (there !== undefined) return there;
  return (await pool.run(following, recipe, bytesIn(recipe.input), size)) as Output;
}

/** Bytes that may be under way at once, for any number of threads. */
const AHEAD_BYTES = 48 * 1024 * 1024;

/** Limits that keep every thread busy while the results are taken in order. */
export function queueFor({ concurrency }: WorkerPool): QueueLimits {
  return { items: 2 * concurrency + 1, bytes: AHEAD_BYTES };
}

/** Limits for working ahead on items of known size in bytes. */
export function aheadOf<Item>(pool: WorkerPool, sizeOf: (item: Item) => number): AheadLimits<Item> {
  return { ...queueFor(pool), sizeOf };
}

/** Bytes of input processed before threads are started. Starting them takes as long as compressing these bytes. */
const INLINE_BYTES = 4 * 1024 * 1024;

/**
 * Runs `work` with a pool, whose threads end with the work.
 * @param concurrency number of threads; by default one per processor, as far as the memory suffices
 */
export async function withWorkerPool<Result>(
  concurrency: number | undefined,
  work: (pool: WorkerPool) => Promise<Result>,
): Promise<Result> {
  // A thread cannot load TypeScript: when run from source, everything runs in this thread.
  if (import.meta.url.endsWith('.ts')) return work(inlinePool);
  const pool = new ThreadPool(concurrency ?? defaultConcurrency('all'));
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}

/**
 * Young objects in a worker die soon, but V8 lets the young generation grow to 48 MiB before it collects them. This
 * keeps it at the size that a new thread has.
 */
export const THREAD_LIMITS = { maxYoungGenerationSizeMb: 6 };

class ThreadPool implements WorkerPool {
  readonly concurrency: number;
  #threads: Promise<Piscina> | undefined;
  #inlineBytes = 0;
  /** Rejects the tasks under way if a thread without a task fails, for example at its start. */
  readonly #underWay = new Set<(error: unknown) => void>();

  constructor(concurrency: number) {
    this.concurrency = concurrency;
  }

  async run<Input, Output>(
    task: WorkerTask<Input, Output>,
    input: Input,
    gives: Iterable<Uint8Array> = [],
    size?: number,
  ): Promise<Output> {
    if (this.#threads === undefined) {
      this.#inlineBytes += size ?? sizeOf(bytesIn(input));
      if (this.#inlineBytes <= INLINE_BYTES) return task.run(input);
    }
    this.#threads ??= this.#start();
    const threads = await this.#threads;
    return this.#output(threads, recipeFor(task, input), ownBuffers(gives));
  }

  async inEachThread<Input>(
    task: WorkerTask<Input, void>,
    input: Input,
    size: number,
  ): Promise<boolean> {
    if (this.#threads === undefined && size <= INLINE_BYTES) return false;
    this.#threads ??= this.#start();
    const threads = await this.#threads;
    const expected = this.concurrency;
    const arrived = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const met: Meeting = { recipe: recipeFor(task, input), arrived, expected };
    const turns = Array.from({ length: expected }, async () =>
      this.#output(threads, recipeFor(meeting, met), []),
    );
    // A thread of its own has each of them, so all have ended before an error is told.
    await Promise.allSettled(turns);
    await Promise.all(turns);
    return true;
  }

  warmUp(size: number, tasks: readonly WorkerTask<never, unknown>[] = []): void {
    if (size <= INLINE_BYTES) return;
    this.#threads ??= this.#start();
    const count = Math.min(this.concurrency, Math.ceil(size / INLINE_BYTES));
    const load = recipeFor(
      loading,
      tasks.map(({ module }) => module),
    );
    const started = this.#threads.then(async (threads) =>
      Promise.all(Array.from({ length: count }, async () => this.#output(threads, load, []))),
    );
    // The first task that is run gets the error.
    started.catch(() => undefined);
  }

  async #start(): Promise<Piscina> {
    // Imported here, since most commands end without it.
    const { Piscina } = await import('piscina');
    const threads = new Piscina({
      filename: new URL('worker.js', import.meta.url).href,
      name: 'work',
      minThreads: 0,
      maxThreads: this.concurrency,
      // A thread may hold what it was given in its turn, until the pool ends.
      idleTimeout: Infinity,
      resourceLimits: THREAD_LIMITS,
    });
    threads.on('error', (error: unknown) => {
      for (const fail of this.#underWay) fail(error);
    });
    return threads;
  }

  async #output<Output>(
    threads: Piscina,
    recipe: Recipe<Output>,
    transferList: ArrayBuffer[],
  ): Promise<Output> {
    const outcome = await this.#outcome(threads, recipe, transferList);
    if ('failure' in outcome) throw errorOf(outcome.failure);
    return outcome.output;
  }

  async #outcome<Output>(
    threads: Piscina,
    recipe: Recipe<Output>,
    transferList: ArrayBuffer[],
  ): Promise<Outcome<Output>> {
    try {
      const run: Promise<unknown> = threads.run(recipe, { transferList });
      return (await this.#ended(run)) as Outcome<Output>;
    } catch (cause) {
      throw new SwingSnapError('WORKER_FAILED', `a worker thread failed at ${recipe.name}`, {
        found: cause instanceof Error ? cause.message : String(cause),
        hint: 'run it again with --concurrency 1, and with DEBUG=swingsnap to see more',
        cause,
      });
    }
  }

  /** Does not race with one shared promise, which would retain every result while it is pending. */
  async #ended<Result>(run: Promise<Result>): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#underWay.add(reject);
      run.then(resolve, reject).finally(() => this.#underWay.delete(reject));
    });
  }

  async close(): Promise<void> {
    const threads = await this.#threads;
    await threads?.destroy();
  }
}

function sizeOf(parts: Iterable<Uint8Array>): number {
  let bytes = 0;
  for (const { byteLength } of parts) bytes += byteLength;
  return bytes;
}
