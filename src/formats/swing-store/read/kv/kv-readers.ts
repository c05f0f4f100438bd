/**
 * Threads that help the pinning thread to read a pinned SwingStore. Each has its own connection, and so its own view:
 * the caller makes sure that all views show the same commit.
 */
import { AskedThread } from '../../../../io/threads/asked-thread.ts';
import type { KVBlock, KVRange } from './kv-blocks.ts';

type Reader = AskedThread<KVRange, KVBlock>;

export class KVReaders {
  readonly #readers: readonly Reader[];
  #next = 0;

  private constructor(readers: readonly Reader[]) {
    this.#readers = readers;
  }

  /** Starts `count` threads and waits until each has pinned its view. */
  static async start(path: string, count: number): Promise<KVReaders> {
    const module = new URL('kv-reader-thread.js', import.meta.url);
    const readers = Array.from(
      { length: count },
      (): Reader => new AskedThread(module, path, 'a thread that reads the SwingStore'),
    );
    const started = new KVReaders(readers);
    try {
      await Promise.all(readers.map(async (reader) => reader.ready));
      return started;
    } catch (error) {
      await started.close();
      throw error;
    }
  }

  get count(): number {
    return this.#readers.length;
  }

  /** Reads a range. Readers take turns. */
  async read(range: KVRange): Promise<KVBlock> {
    const reader = this.#readers[this.#next % this.count];
    this.#next += 1;
    if (reader === undefined) throw new Error('there are no readers');
    return reader.ask(range);
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map(async (reader) => reader.end()));
  }
}
