/** The current progress, readable at any time. */
import type { Progress } from '../../io/progress.ts';
import { WorkMeter } from '../../io/work-meter.ts';
import type { OperationProgress } from './notice.ts';

/** Passes progress on, and remembers the current values. */
export class ProgressMeter implements Required<Progress> {
  readonly #next: Progress;
  readonly #work = new WorkMeter();
  readonly #since = performance.now();

  constructor(next: Progress) {
    this.#next = next;
  }

  plan(...[phases]: Parameters<WorkMeter['plan']>): void {
    this.#work.plan(phases);
    this.#next.plan?.(phases);
  }

  phase(...[name, total]: Parameters<WorkMeter['phase']>): void {
    this.#work.phase(name, total);
    this.#next.phase(name, total);
  }

  advance(bytes: number, items?: number): void {
    this.#work.advance(bytes, items);
    this.#next.advance(bytes, items);
  }

  beside(...[name, bytes, total]: Parameters<WorkMeter['beside']>): void {
    this.#work.beside(name, bytes, total);
    this.#next.beside?.(name, bytes, total);
  }

  readonly note = (message: string): void => {
    this.#next.note(message);
  };

  get now(): OperationProgress {
    const { current, percent, timeLeft } = this.#work;
    const { bytes: totalBytes, items: totalItems } = current?.total ?? {};
    return {
      phase: current?.name ?? 'starting',
      bytes: current?.bytes ?? 0,
      items: current?.items ?? 0,
      ...(totalBytes === undefined ? {} : { totalBytes }),
      ...(totalItems === undefined ? {} : { totalItems }),
      elapsed: Math.round(performance.now() - (current?.startedAt ?? this.#since)),
      ...(percent === undefined ? {} : { percent }),
      ...(timeLeft === undefined ? {} : { timeLeft: Math.round(timeLeft) }),
    };
  }

  /** The progress of an operation that is done. */
  get atEnd(): OperationProgress {
    const { timeLeft: _, ...now } = this.now;
    return { ...now, percent: 100 };
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
