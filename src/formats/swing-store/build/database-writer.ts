/**
 * Fills a new database, by a thread of its own where there are threads: rows are made there while others decompress,
 * check and hash what will be the next ones.
 */
import { InOrder, type QueueLimits } from '../../../io/flow/in-order.ts';
import { AskedThread } from '../../../io/threads/asked-thread.ts';
import { inlinePool, queueFor, type WorkerPool } from '../../../io/threads/pool.ts';
import { NewDatabase } from './new-database.ts';

type Method = 'addExportData' | 'addHeapSnapshot' | 'addSpanLines' | 'addBundle' | 'finish';

/** A call of a method of {@link NewDatabase}, as a message. */
export type DatabaseOrder = {
  [M in Method]: { readonly method: M; readonly argument: Parameters<NewDatabase[M]>[0] };
}[Method];

type Fill = Extract<DatabaseOrder, { method: `add${string}` }>;

/** Carries out an order. */
export function carryOut(database: NewDatabase, { method, argument }: DatabaseOrder): unknown {
  const run = database[method].bind(database) as (argument: unknown) => unknown;
  return run(argument);
}

/** Who carries out orders: this thread or another. */
interface Executor {
  ask(order: DatabaseOrder, gives?: Iterable<Uint8Array>): Promise<unknown>;
  /** Closes the database, too. */
  end(): Promise<void>;
}

export class DatabaseWriter {
  readonly #executor: Executor;
  readonly #filling: InOrder<unknown>;

  private constructor(executor: Executor, limits: QueueLimits) {
    this.#executor = executor;
    this.#filling = new InOrder(limits, () => undefined);
  }

  /** Makes the database at `path`. Throws as {@link NewDatabase}. */
  static async start(path: string, pool: WorkerPool): Promise<DatabaseWriter> {
    // With one thread only, what it is for is to compress.
    if (pool.concurrency < 2) {
      return new DatabaseWriter(inThisThread(new NewDatabase(path)), queueFor(inlinePool));
    }
    const module = new URL('database-thread.js', import.meta.url);
    const what = 'the thread that fills the new SwingStore';
    const thread = new AskedThread<DatabaseOrder, unknown>(module, path, what);
    await thread.ready;
    return new DatabaseWriter(thread, queueFor(pool));
  }

  /**
   * Has something added; waits while too much is under way.
   * @param bytes that it holds
   * @param gives bytes of it that the caller gives away
   * @throws what went wrong with it, or with anything before it
   */
  async add(order: Fill, bytes: number, gives: Iterable<Uint8Array> = []): Promise<void> {
    await this.#filling.add(this.#executor.ask(order, gives), bytes);
  }

  /** As `finish` of {@link NewDatabase}, once all is added. */
  async finish(argument: Parameters<NewDatabase['finish']>[0]): Promise<string | undefined> {
    await this.#filling.end();
    const lack = (await this.#executor.ask({ method: 'finish', argument })) as string | undefined;
    if (lack === undefined) await this.#executor.end();
    return lack;
  }

  /** Lets go of the database, whatever is under way. */
  async abort(): Promise<void> {
    await this.#filling.settled();
    await this.#executor.end();
  }
}

function inThisThread(database: NewDatabase): Executor {
  return {
    ask: async (order) => carryOut(database, order),
    end: async () => {
      database.close();
    },
  };
}
