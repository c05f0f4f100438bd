/** A queue of bounded length: things are made at the same time and taken in the order in which they were begun. */
export class InOrder<Made> {
  readonly #limit: number;
  readonly #take: (made: Made) => Promise<void> | void;
  #waiting = 0;
  /** The end of the chain: settled when everything so far was taken, or one of it failed. */
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #wakers: (() => void)[] = [];

  /**
   * @param limit how many may be under way
   * @param take is called with one at a time
   */
  constructor(limit: number, take: (made: Made) => Promise<void> | void) {
    this.#limit = limit;
    this.#take = take;
  }

  /**
   * Adds one that is being made; waits while there are too many before it.
   * @throws what the making or the taking of an earlier one threw
   */
  async add(making: Promise<Made>): Promise<void> {
    making.catch(() => undefined);
    this.#waiting += 1;
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
        for (const wake of this.#wakers.splice(0)) wake();
      }
    })();
    while (this.#waiting >= this.#limit && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve);
      });
    }
    this.#throwFailure();
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
