/**
 * A thread with something of its own (a database connection) that is asked one thing after the other. Its module calls
 * {@link answerOrders}. Threads without anything of their own are those of `worker-pool/`.
 */
import { parentPort, Worker } from 'node:worker_threads';
import { SwingSnapError } from '../errors.ts';
import { noteSpent } from './spent-memory.ts';
import { errorOf, failureOf, type Outcome } from './worker-pool/error-message.ts';
import { THREAD_LIMITS } from './worker-pool/pool.ts';
import { bytesIn, ownBuffers } from './worker-pool/task.ts';

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export class AskedThread<Order, Answer> {
  readonly #thread: Worker;
  readonly #what: string;
  /** In the order in which they were asked, which is that of the answers. */
  readonly #waiting: Waiting<Answer | undefined>[] = [];
  #failure: unknown;
  /** Settles when the thread can be asked, or could not be started. */
  readonly ready: Promise<unknown>;

  /**
   * @param module URL of what runs in it, built: a thread cannot load TypeScript
   * @param data what it starts with
   * @param what names it in errors: `a thread that reads the SwingStore`
   */
  constructor(module: URL, data: unknown, what: string) {
    this.#what = what;
    this.#thread = new Worker(module, { workerData: data, resourceLimits: THREAD_LIMITS });
    this.ready = this.#answer();
    // Whoever asks hears of it too.
    this.ready.catch(() => undefined);
    this.#thread.on('message', (outcome: Outcome<Answer | undefined>) => {
      const waiting = this.#waiting.shift();
      if ('failure' in outcome) waiting?.reject(errorOf(outcome.failure));
      else waiting?.resolve(outcome.output);
    });
    const fail = (error: unknown): void => {
      this.#failure ??= error;
      for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#failure);
    };
    this.#thread.on('error', fail);
    this.#thread.on('exit', () => {
      fail(this.#gone());
    });
  }

  /**
   * Orders are carried out one at a time, in the order of the calls.
   * @param gives bytes of the order that the caller gives away
   * @throws what the thread threw; {@link SwingSnapError} `WORKER_FAILED` if it has ended
   */
  async ask(order: Order, gives: Iterable<Uint8Array> = []): Promise<Answer> {
    if (this.#failure !== undefined) throw this.#failure as Error;
    this.#thread.postMessage(order, ownBuffers(gives));
    return (await this.#answer()) as Answer;
  }

  async #answer(): Promise<Answer | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  /** Ends it at once, whatever it is at. */
  async end(): Promise<void> {
    await this.#thread.terminate();
  }

  #gone(): SwingSnapError {
    return new SwingSnapError('WORKER_FAILED', `${this.#what} has ended`, {
      hint: 'run it again, with DEBUG=1 to see more',
    });
  }
}

/**
 * To be called by the module of an {@link AskedThread}.
 * @param start makes what answers the orders
 */
export function answerOrders(start: () => (order: never) => unknown): void {
  const say = (work: () => unknown): void => {
    let outcome: Outcome<unknown>;
    try {
      outcome = { output: work() };
    } catch (error) {
      outcome = { failure: failureOf(error) };
    }
    const output = 'output' in outcome ? outcome.output : undefined;
    parentPort?.postMessage(outcome, ownBuffers(bytesIn(output)));
  };
  say(() => {
    const answer = start();
    parentPort?.on('message', (order) => {
      say(() => answer(order as never));
      for (const { byteLength } of bytesIn(order)) noteSpent(byteLength);
    });
    return undefined;
  });
}
