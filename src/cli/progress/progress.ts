/**
 * Progress for people: a spinner on a terminal, plain lines elsewhere, nothing under `--json` and `--quiet`. All of it
 * goes to stderr, since stdout holds only the result.
 */

import type { Progress } from '../../io/progress.ts';
import { formatLine } from '../text/printable.ts';
import { Meter } from './meter.ts';

/** What the base command drives: progress that ends, and remembers the notes for `--json`. */
export interface CommandProgress extends Progress {
  readonly notes: readonly string[];
  /** Ends the phase under way; says how it went only after success. Nothing follows. */
  finish(outcome: 'done' | 'failed'): void;
}

/** Where the lines go: the part of a stream that is needed here. */
export interface LineStream {
  write(text: string): unknown;
}

/** Time in ms from any origin, never going back. */
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
 * A line every `interval` ms while something advances, and one at the end of each phase: for logs and pipes.
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
