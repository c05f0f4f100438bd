/** The threads of a pool as readers of a pinned SwingStore. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { statIfThere } from '../../../io/files/stat-if-there.ts';
import type { WorkerPool } from '../../../io/threads/pool.ts';
import { databasePath } from '../layout.ts';
import type { KVBlock, KVRange } from './kv/kv-blocks.ts';
import {
  pinningView,
  readingKVBlock,
  recipesIn,
  releasingView,
  type ViewRecipes,
} from './thread-views.ts';

/** Milliseconds that the threads may take to close their views: far more than any task takes. */
const CLOSE_GRACE_MS = 10_000;

/** Starts the threads of the pool while the store in `stateDir` is opened. */
export function warmUpReaders(pool: WorkerPool, stateDir: string): void {
  pool.warmUp(statIfThere(databasePath(stateDir))?.size ?? 0, [pinningView]);
}

export class StoreReaders {
  readonly #pool: WorkerPool;
  readonly #view: string;
  /** Of what the threads read themselves. */
  readonly recipes: ViewRecipes;

  private constructor(pool: WorkerPool, view: string) {
    this.#pool = pool;
    this.#view = view;
    this.recipes = recipesIn(view);
  }

  /**
   * Lets each thread of the pool pin a view.
   * @param path of the database
   * @param size bytes of the store
   * @returns undefined if there are no threads, or so small a store is not worth them
   */
  static async start(
    pool: WorkerPool,
    path: string,
    size: number,
  ): Promise<StoreReaders | undefined> {
    const id = randomUUID();
    const readers = new StoreReaders(pool, id);
    try {
      return (await pool.inEachThread(pinningView, { id, path }, size)) ? readers : undefined;
    } catch (error) {
      await readers.close();
      throw error;
    }
  }

  get count(): number {
    return this.#pool.concurrency;
  }

  async readKVBlock(range: KVRange): Promise<KVBlock> {
    return this.#pool.run(readingKVBlock, { view: this.#view, key: range });
  }

  /**
   * Closes the views when the tasks that were begun have ended. A thread that is stuck keeps its view until the pool
   * ends.
   */
  async close(): Promise<void> {
    const grace = new AbortController();
    // Threads that failed have no view any more.
    const closed = this.#pool
      .inEachThread(releasingView, this.#view, Infinity)
      .catch(() => undefined);
    await Promise.race([
      closed,
      delay(CLOSE_GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined),
    ]);
    grace.abort();
  }
}
