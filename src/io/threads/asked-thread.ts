/**
 * A thread with a resource of its own (a database connection) that carries out one order after the other. Its module
 * calls {@link answerOrders}. Threads without resources are those of `pool.ts`.
 */
import { once } from 'node:events';
import { parentPort, Worker } from 'node:worker_threads';
import { SwingSnapError } from '../../errors.ts';
import { noteSpent } from '../flow/spent-memory.ts';
import { errorOf, failureOf, type Outcome } from './error-message.ts';
import { THREAD_LIMITS } from './pool.ts';
import { bytesIn, ownBuffers } from './task.ts';

/** The message that ends a thread. Orders are objects. */
const END = 'end';

/** Milliseconds that a thread may take to end: far more than any order takes. */
const END_GRACE_MS = 10_000;

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export class AskedThread<Order, Answer> {
  readonly #thread: Worker;
  readonly #what: string;
  /** In the order of the requests, which is also that of the answers. */
  readonly #waiting: Waiting<Answer | undefined>[] = [];
  #failure: unknown;
  #hasExited = false;
  /** Resolves when the thread accepts orders, and rejects if it could not start. */
  readonly ready: Promise<unknown>;

  /**
   * @param module URL of the built module to run: a thread cannot load TypeScript
   * @param data passed to the module as `workerData`
   * @param what names the thread in errors: `a thread that reads the SwingStore`
   */
  constructor(module: URL, data: unknown, what: string) {
    this.#what = what;
    this.#thread = new Worker(module, { workerData: data, resourceLimits: THREAD_LIMITS });
    this.ready = this.#answer();
    // The callers of `ask` get the error too.
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
      this.#hasExited = true;
      fail(this.#gone());
    });
  }

  /**
   * Carries out an order in the thread, one at a time, in the order of the calls.
   * @param gives bytes of the order that the caller gives away
   * @throws the thread's error; {@link SwingSnapError} `WORKER_FAILED` if the thread has ended
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

  /**
   * Ends the thread: it carries out the pending orders, closes its resource, and exits. Terminating it from outside
   * would leave the order in which its databases are closed to Node. A stuck thread is terminated anyway, after a
   * grace period.
   */
  async end(): Promise<void> {
    if (this.#hasExited) return;
    const late = setTimeout(() => void this.#thread.terminate(), END_GRACE_MS);
    try {
      const exit = once(this.#thread, 'exit');
      this.#thread.postMessage(END);
      await exit;
    } finally {
      clearTimeout(late);
    }
  }

  #gone(): SwingSnapError {
    return new SwingSnapError('WORKER_FAILED', `${this.#what} has ended`, {
      hint: 'run it again, with DEBUG=swingsnap to see more',
    });
  }
}

/** The resource of a thread. */
export interface OrderTaker {
  readonly answer: (order: never) => unknown;
  /** Releases the resource; the last call. */
  readonly close: () => void;
}

/**
 * To be called by the module of an {@link AskedThread}.
 * @param start makes the object that answers the orders
 */
export function answerOrders(start: () => OrderTaker): void {
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
    const { answer, close } = start();
    parentPort?.on('message', (order) => {
      if (order === END) {
        close();
        // Nothing keeps the thread alive now, so it exits.
        parentPort?.close();
        return;
      }
      say(() => answer(order as never));
      for (const { byteLength } of bytesIn(order)) noteSpent(byteLength);
    });
    return undefined;
  });
}
