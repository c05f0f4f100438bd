/** How long work may go on without a look at timers, signals and sockets, in milliseconds. */
const LONGEST_BREATH_MS = 20;

/**
 * Lets the event loop turn now and then: a loop over an iterable that never waits for I/O would otherwise keep
 * signals and time limits from being heard. To be awaited in every round of such a loop; it is nearly free.
 */
export class Breath {
  #last = performance.now();

  async take(): Promise<void> {
    const now = performance.now();
    if (now - this.#last < LONGEST_BREATH_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#last = performance.now();
  }
}
