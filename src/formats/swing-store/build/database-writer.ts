/**
 * Fills a new database, in its own thread if the pool has at least two threads. It inserts rows while other threads
 * decompress, check and hash the next rows.
 */
import { naming as withFileName } from '../../../io/files/system-error.ts';
import { InOrder } from '../../../io/flow/in-order.ts';
import type { QueueLimits } from '../../../io/flow/room.ts';
import { AskedThread } from '../../../io/threads/asked-thread.ts';
import { inlinePool, queueFor, type WorkerPool } from '../../../io/threads/pool.ts';
import { NewDatabase } from './new-database.ts';

type Method = 'addExportData' | 'addHeapSnapshot' | 'addSpanLines' | 'addBundle' | 'finish';

/** A method call on {@link NewDatabase}, as a message. */
export type DatabaseOrder = {
  [M in Method]: { readonly method: M; readonly argument: Parameters<NewDatabase[M]>[0] };
}[Method];

type Fill = Extract<DatabaseOrder, { method: `add${string}` }>;

export function carryOut(database: NewDatabase, { method, argument }: DatabaseOrder): unknown {
  const run = database[method].bind(database) as (argument: unknown) => unknown;
  return run(argument);
}

/** Carries out orders, in this thread or another. */
interface Executor {
  ask(order: DatabaseOrder, gives?: Iterable<Uint8Array>): Promise<unknown>;
  /** Also closes the database. */
  end(): Promise<void>;
}

export class DatabaseWriter {
  readonly #executor: Executor;
  readonly #filling: InOrder<unknown>;

  private constructor(executor: Executor, limits: QueueLimits) {
    this.#executor = executor;
    this.#filling = new InOrder(limits, () => undefined);
  }

  /** Makes the database at `path`. Throws what {@link NewDatabase} throws. */
  static async start(path: string, pool: WorkerPool): Promise<DatabaseWriter> {
    // A single worker is more useful for compression.
    if (pool.concurrency < 2) {
      const executor = naming(inThisThread(new NewDatabase(path)), path);
      return new DatabaseWriter(executor, queueFor(inlinePool));
    }
    const module = new URL('database-thread.js', import.meta.url);
    const what = 'the thread that fills the new SwingStore';
    const thread = new AskedThread<DatabaseOrder, unknown>(module, path, what);
    await thread.ready;
    return new DatabaseWriter(naming(thread, path), queueFor(pool));
  }

  /**
   * Queues an addition; waits while the queue is full.
   * @param bytes size of the order
   * @param gives buffers of the order that the caller transfers
   * @throws the error of this addition or of an earlier one
   */
  async add(order: Fill, bytes: number, gives: Iterable<Uint8Array> = []): Promise<void> {
    await this.#filling.add(this.#executor.ask(order, gives), bytes);
  }

  /** Calls `finish` of {@link NewDatabase} after all additions. */
  async finish(argument: Parameters<NewDatabase['finish']>[0]): Promise<string | undefined> {
    await this.#filling.end();
    const lack = (await this.#executor.ask({ method: 'finish', argument })) as string | undefined;
    if (lack === undefined) await this.#executor.end();
    return lack;
  }

  /** Waits for the queue to settle, then closes the database. */
  async abort(): Promise<void> {
    await this.#filling.settled();
    await this.#executor.end();
  }
}

/** SQLite does not say in an error which database it is about. */
function naming(executor: Executor, path: string): Executor {
  return {
    ask: async (order, gives) => withFileName(path, async () => executor.ask(order, gives)),
    end: async () => executor.end(),
  };
}

function inThisThread(database: NewDatabase): Executor {
  return {
    ask: async (order) => carryOut(database, order),
    end: async () => {
      database.close();
    },
  };
}
