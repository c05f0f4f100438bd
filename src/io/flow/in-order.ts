export interface QueueLimits {
  readonly items: number;
  readonly bytes: number;
}

/** For items that take no room. */
export const NO_LIMITS: QueueLimits = { items: Infinity, bytes: Infinity };

/** A bounded queue: items are made concurrently and taken in the order in which they were added. */
export class InOrder<Made> {
  readonly #limits: QueueLimits;
  readonly #take: (made: Made) => Promise<void> | void;
  #waiting = 0;
  #bytes = 0;
  /** The end of the chain: settles when everything so far has been taken or dropped after a failure. */
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #wakers: (() => void)[] = [];

  /**
   * @param limits for the items under way
   * @param take is called with one item at a time
   */
  constructor(limits: QueueLimits, take: (made: Made) => Promise<void> | void) {
    this.#limits = limits;
    this.#take = take;
  }

  /**
   * Adds an item that is being made. Waits while too many items, or too many bytes, are under way.
   * @param bytes of the item
   * @throws the first error of making or taking an item
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

  /** Waits until all items have been taken. Throws as {@link add}. */
  async end(): Promise<void> {
    await this.settled();
    this.#throwFailure();
  }

  /** Waits until nothing is under way, with or without failures. */
  async settled(): Promise<void> {
    await this.#last;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
