/** The current progress, readable at any time. */
import type { Progress, ProgressTotal } from '../../io/progress.ts';
import type { OperationProgress } from './notice.ts';

/** Passes progress on, and remembers the current values. */
export class ProgressMeter implements Progress {
  readonly #next: Progress;
  #phase = 'starting';
  #total: ProgressTotal = {};
  #bytes = 0;
  #items = 0;
  #since = performance.now();

  constructor(next: Progress) {
    this.#next = next;
  }

  phase(name: string, total: ProgressTotal = {}): void {
    this.#phase = name;
    this.#total = total;
    this.#bytes = 0;
    this.#items = 0;
    this.#since = performance.now();
    this.#next.phase(name, total);
  }

  advance(bytes: number, items = 0): void {
    this.#bytes += bytes;
    this.#items += items;
    this.#next.advance(bytes, items);
  }

  readonly note = (message: string): void => {
    this.#next.note(message);
  };

  get now(): OperationProgress {
    const { bytes: totalBytes, items: totalItems } = this.#total;
    return {
      phase: this.#phase,
      bytes: this.#bytes,
      items: this.#items,
      ...(totalBytes === undefined ? {} : { totalBytes }),
      ...(totalItems === undefined ? {} : { totalItems }),
      elapsed: Math.round(performance.now() - this.#since),
    };
  }
}

const TELL_EVERY_MS = 2000;

/**
 * Calls `tell` with the progress of an operation every two seconds, so that `status` can show it.
 * @returns stops the calls
 */
export function followProgress(
  meter: ProgressMeter,
  tell: (progress: OperationProgress) => void,
): () => void {
  const timer = setInterval(() => {
    tell(meter.now);
  }, TELL_EVERY_MS);
  return () => {
    clearInterval(timer);
  };
}
