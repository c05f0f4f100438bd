/** How much may be under way at the same time, and how much is. */

/** Bounds what is under way at the same time. */
export interface QueueLimits {
  readonly items: number;
  readonly bytes: number;
}

/** For items that take no room. */
export const NO_LIMITS: QueueLimits = { items: Infinity, bytes: Infinity };

/** Counts what is under way. */
export class Room {
  readonly #limits: QueueLimits;
  #items = 0;
  #bytes = 0;
  #wakers: (() => void)[] = [];

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** Counts an item, which may be one more than fits: then the caller waits before it begins the next. */
  enter(bytes: number): void {
    this.#items += 1;
    this.#bytes += bytes;
  }

  leave(bytes: number): void {
    this.#items -= 1;
    this.#bytes -= bytes;
    for (const wake of this.#wakers.splice(0)) wake();
  }

  /** Waits until there is room for another item, or until none is to come. */
  async isFree(isOver = (): boolean => false): Promise<void> {
    while (this.#isFull() && !isOver()) {
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve);
      });
    }
  }

  #isFull(): boolean {
    return this.#items >= this.#limits.items || this.#bytes >= this.#limits.bytes;
  }
}
