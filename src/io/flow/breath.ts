/** Maximum milliseconds of work before timers, signals and sockets are served. */
const LONGEST_BREATH_MS = 20;

/**
 * Lets the event loop turn now and then. Otherwise a loop over an iterable that never waits for I/O would block
 * signals and time limits. To be awaited in every round of such a loop; it is nearly free.
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
