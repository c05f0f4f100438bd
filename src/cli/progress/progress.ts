/**
 * Progress for people: a spinner on a terminal, plain lines elsewhere, nothing under `--json` and `--quiet`. It is
 * written to stderr, because stdout holds only the result.
 */

import type { Progress } from '../../io/progress.ts';
import { formatLine } from '../text/printable.ts';
import { Meter } from './meter.ts';

/** Progress for the base command. It keeps the notes for `--json`. */
export interface CommandProgress extends Progress {
  readonly notes: readonly string[];
  /** Ends the current phase. Prints its summary only after success. The last call. */
  finish(outcome: 'done' | 'failed'): void;
}

/** The part of a stream that is used here. */
export interface LineStream {
  write(text: string): unknown;
}

/** Monotonic time in ms, from any origin. */
export type Clock = () => number;

export const monotonicClock: Clock = () => performance.now();

/** Keeps the notes and prints nothing. */
export function silentProgress(): CommandProgress {
  const notes: string[] = [];
  return {
    notes,
    phase: () => undefined,
    advance: () => undefined,
    note: (message) => void notes.push(message),
    finish: () => undefined,
  };
}

/**
 * For logs and pipes: a line every `interval` ms while work advances, and one at the end of each phase.
 */
export function linesProgress(
  stream: LineStream,
  { clock = monotonicClock, interval = 5000 }: { clock?: Clock; interval?: number } = {},
): CommandProgress {
  const notes: string[] = [];
  let meter: Meter | undefined;
  let printedAt = 0;
  const print = (text: string): void => {
    stream.write(`${formatLine(text)}\n`);
  };
  const endPhase = (): void => {
    if (meter !== undefined) print(meter.summary(clock()));
    meter = undefined;
  };
  return {
    notes,
    phase: (name, total = {}) => {
      endPhase();
      printedAt = clock();
      meter = new Meter(name, total, printedAt);
    },
    advance: (bytes, items = 0) => {
      if (meter === undefined) return;
      meter.add(bytes, items);
      const now = clock();
      if (now - printedAt < interval) return;
      printedAt = now;
      print(meter.status(now));
    },
    note: (message) => {
      notes.push(message);
      print(message);
    },
    finish: (outcome) => {
      if (outcome === 'done') endPhase();
      meter = undefined;
    },
  };
}
