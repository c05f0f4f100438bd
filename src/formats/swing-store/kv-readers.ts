/**
 * Threads that read a pinned SwingStore beside the one that pinned it, each with a connection of its own. SQLite gives
 * each connection a view of its own too: whoever starts them makes sure that all are of one commit.
 */
import { Worker } from 'node:worker_threads';
import { SwingSnapError } from '../../errors.ts';
import { errorOf, type Outcome } from '../../io/worker-pool/error-message.ts';
import type { KVBlock, KVRange } from './kv-lines.ts';

/** What a reader is asked; the first thing that it says, unasked, is that its view is pinned. */
export interface ReaderOrder {
  readonly range: KVRange;
}

export type ReaderAnswer = Outcome<KVBlock | 'pinned'>;

interface Waiting {
  readonly resolve: (answer: KVBlock | 'pinned') => void;
  readonly reject: (error: unknown) => void;
}

export class KVReaders {
  readonly #readers: readonly Reader[];
  #next = 0;

  private constructor(readers: readonly Reader[]) {
    this.#readers = readers;
  }

  /** Starts so many, and waits until each has pinned its view. */
  static async start(path: string, count: number): Promise<KVReaders> {
    const readers = Array.from({ length: count }, () => new Reader(path));
    const started = new KVReaders(readers);
    try {
      await Promise.all(readers.map(async (reader) => reader.pinned));
      return started;
    } catch (error) {
      await started.close();
      throw error;
    }
  }

  get count(): number {
    return this.#readers.length;
  }

  /** Reads a range, by each reader in turn. */
  async read(range: KVRange): Promise<KVBlock> {
    const reader = this.#readers[this.#next % this.count];
    this.#next += 1;
    const block = await reader?.ask({ range });
    if (block === undefined || block === 'pinned') throw readerGone();
    return block;
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map(async (reader) => reader.end()));
  }
}

class Reader {
  readonly #thread: Worker;
  /** In the order in which they were asked, which is that of the answers. */
  readonly #waiting: Waiting[] = [];
  #failure: unknown;
  readonly pinned: Promise<unknown>;

  constructor(path: string) {
    const thread = new URL('kv-reader-thread.js', import.meta.url);
    this.#thread = new Worker(thread, { workerData: path });
    this.pinned = this.#answer();
    this.#thread.on('message', (answer: ReaderAnswer) => {
      const waiting = this.#waiting.shift();
      if ('failure' in answer) waiting?.reject(errorOf(answer.failure));
      else waiting?.resolve(answer.output);
    });
    const fail = (error: unknown): void => {
      this.#failure ??= error;
      for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#failure);
    };
    this.#thread.on('error', fail);
    this.#thread.on('exit', () => {
      fail(readerGone());
    });
  }

  async ask(order: ReaderOrder): Promise<KVBlock | 'pinned'> {
    if (this.#failure !== undefined) throw this.#failure as Error;
    this.#thread.postMessage(order);
    return this.#answer();
  }

  async #answer(): Promise<KVBlock | 'pinned'> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  async end(): Promise<void> {
    await this.#thread.terminate();
  }
}

function readerGone(): SwingSnapError {
  return new SwingSnapError('WORKER_FAILED', 'a thread that reads the SwingStore has ended', {
    hint: 'run it again, with DEBUG=1 to see more',
  });
}
