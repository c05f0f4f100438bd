/** Hands items from one side to another, one at a time. */

interface Offer<Item> {
  readonly item: Item;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Passes items from the side that puts them to the side that takes them, in order. An item counts as taken when the next
 * one is asked for, so at most one is in transit, whatever the taker does with it.
 */
export class Handoff<Item> {
  readonly #offers: Offer<Item>[] = [];
  #taken: Offer<Item> | undefined;
  #over: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** Resolves when the item was taken. @throws the error given to {@link fail} */
  async put(item: Item): Promise<void> {
    if (this.#over !== undefined && 'error' in this.#over) throw this.#over.error;
    await new Promise<void>((resolve, reject) => {
      this.#offers.push({ item, resolve, reject });
      this.#wake?.();
    });
  }

  /** No more items follow. */
  end(): void {
    this.#over ??= {};
    this.#wake?.();
  }

  /** Makes both sides throw this error from now on. */
  fail(error: unknown): void {
    if (this.#over === undefined || !('error' in this.#over)) this.#over = { error };
    for (const { reject } of this.#offers.splice(0)) reject(error);
    this.#taken?.reject(error);
    this.#taken = undefined;
    this.#wake?.();
  }

  /** The next item; undefined at the end. One call at a time. @throws the error given to {@link fail} */
  async take(): Promise<Item | undefined> {
    this.#taken?.resolve();
    this.#taken = undefined;
    for (;;) {
      if (this.#over !== undefined && 'error' in this.#over) throw this.#over.error;
      const next = this.#offers.shift();
      if (next !== undefined) {
        this.#taken = next;
        return next.item;
      }
      if (this.#over !== undefined) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** All items up to the end. */
  async *items(): AsyncGenerator<Item> {
    for (let item = await this.take(); item !== undefined; item = await this.take()) yield item;
  }
}
