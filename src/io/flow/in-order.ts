import { Room, type QueueLimits } from './room.ts';

/** A bounded queue: items are made concurrently and taken in the order in which they were added. */
export class InOrder<Made> {
  readonly #room: Room;
  readonly #take: (made: Made) => Promise<void> | void;
  /** The end of the chain: settles when everything so far has been taken or dropped after a failure. */
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param limits for the items under way
   * @param take is called with one item at a time
   */
  constructor(limits: QueueLimits, take: (made: Made) => Promise<void> | void) {
    this.#room = new Room(limits);
    this.#take = take;
  }

  /**
   * Adds an item that is being made. Waits while too many items, or too many bytes, are under way.
   * @param bytes of the item
   * @throws the first error of making or taking an item
   */
  async add(making: Promise<Made>, bytes: number): Promise<void> {
    making.catch(() => undefined);
    this.#room.enter(bytes);
    const before = this.#last;
    this.#last = (async () => {
      await before;
      try {
        const made = await making;
        if (this.#failure === undefined) await this.#take(made);
      } catch (error) {
        this.#failure ??= { error };
      } finally {
        this.#room.leave(bytes);
      }
    })();
    await this.#room.isFree(() => this.#failure !== undefined);
    this.#throwFailure();
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
