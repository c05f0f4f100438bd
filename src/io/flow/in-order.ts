export interface QueueLimits {
  readonly items: number;
  readonly bytes: number;
}

/** A queue of bounded length: things are made at the same time and taken in the order in which they were begun. */
export class InOrder<Made> {
  readonly #limits: QueueLimits;
  readonly #take: (made: Made) => Promise<void> | void;
  #waiting = 0;
  #bytes = 0;
  /** The end of the chain: settled when everything so far was taken, or one of it failed. */
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #wakers: (() => void)[] = [];

  /**
   * @param limits what may be under way
   * @param take is called with one at a time
   */
  constructor(limits: QueueLimits, take: (made: Made) => Promise<void> | void) {
    this.#limits = limits;
    this.#take = take;
  }

  /**
   * Adds one that is being made; waits while there are too many under way, or too much.
   * @param bytes that it holds
   * @throws what the making or the taking of an earlier one threw
   */
  async add(making: Promise<Made>, bytes: number): Promise<void> {
    making.catch(() => undefined);
    this.#waiting += 1;
    this.#bytes += bytes;
    const before = this.#last;
    this.#last = (async () => {
      await before;
      try {
        const made = await making;
        if (this.#failure === undefined) await this.#take(made);
      } catch (error) {
        this.#failure ??= { error };
      } finally {
        this.#waiting -= 1;
        this.#bytes -= bytes;
        for (const wake of this.#wakers.splice(0)) wake();
      }
    })();
    while (this.#isFull() && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve);
      });
    }
    this.#throwFailure();
  }

  #isFull(): boolean {
    const { items, bytes } = this.#limits;
    return this.#waiting >= items || this.#bytes >= bytes;
  }

  /** Waits until all were taken. Throws as {@link add}. */
  async end(): Promise<void> {
    await this.settled();
    this.#throwFailure();
  }

  /** Waits until nothing is under way any more, whatever became of it. */
  async settled(): Promise<void> {
    await this.#last;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
