/**
 * A thread with something of its own (a database connection) that is asked one thing after the other. Its module calls
 * {@link answerOrders}. Threads without anything of their own are those of `pool.ts`.
 */
import { once } from 'node:events';
import { parentPort, Worker } from 'node:worker_threads';
import { SwingSnapError } from '../../errors.ts';
import { noteSpent } from '../flow/spent-memory.ts';
import { errorOf, failureOf, type Outcome } from './error-message.ts';
import { THREAD_LIMITS } from './pool.ts';
import { bytesIn, ownBuffers } from './task.ts';

/** The message that ends a thread; orders are objects. */
const END = 'end';

/** Milliseconds that a thread may take to end: far more than any order of ours takes. */
const END_GRACE_MS = 10_000;

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
  #hasExited = false;
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

  /**
   * Has it end: it carries out the orders that it was given, closes what it has, and exits. To end it from outside would
   * leave its databases to whatever order Node takes a thread apart in. One that is stuck is ended from outside all the
   * same, after a grace.
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
      hint: 'run it again, with DEBUG=1 to see more',
    });
  }
}

/** What a thread has of its own. */
export interface OrderTaker {
  readonly answer: (order: never) => unknown;
  /** Lets go of it: the last call. */
  readonly close: () => void;
}

/**
 * To be called by the module of an {@link AskedThread}.
 * @param start makes what answers the orders
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
        // Nothing keeps the thread any more: it exits.
        parentPort?.close();
        return;
      }
      say(() => answer(order as never));
      for (const { byteLength } of bytesIn(order)) noteSpent(byteLength);
    });
    return undefined;
  });
}
