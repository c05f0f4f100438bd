/**
 * Progress for people: a spinner on a terminal, plain lines elsewhere, nothing under `--json` and `--quiet`. It is
 * written to stderr, because stdout holds only the result. `--progress` asks for another kind.
 */

import type { Progress } from '../../io/progress.ts';
import { WorkMeter, type Clock } from '../../io/work-meter.ts';
import { formatLine } from '../text/printable.ts';
import { statusLine, summaryLine } from './meter.ts';

/** Progress for the base command. It keeps the notes for `--json`. */
export interface CommandProgress extends Progress {
  readonly notes: readonly string[];
  /** Ends the current phase. Prints its summary only after success. The last call. */
  finish(outcome: 'done' | 'failed'): void;
}

/** The part of a stream that is used here. */
export interface LineStream {
  write(text: string): unknown;
  /** The width of a terminal. */
  readonly columns?: number | undefined;
}

export const monotonicClock: Clock = () => performance.now();

/** A command that has not begun a phase by then says that it is starting. In ms, below a second. */
export const STARTING_AFTER = 500;

/** The most ms between two lines. */
const MOST_BETWEEN = 5 * 60_000;

/** How often in an interval a line may become due. */
const LOOKS = 5;

/**
 * Shows no progress, and keeps the notes.
 * @param stream where notes are printed; by default nowhere
 */
export function silentProgress(stream?: LineStream): CommandProgress {
  const notes: string[] = [];
  return {
    notes,
    phase: () => undefined,
    advance: () => undefined,
    note: (message) => {
      notes.push(message);
      stream?.write(`${formatLine(message)}\n`);
    },
    finish: () => undefined,
  };
}

/**
 * For logs, pipes and mails: a line at the start, one at the end of each phase, and between them at first one every
 * `interval` ms. They become rarer, so that the log of an hour has some thirty lines.
 */
export function linesProgress(
  stream: LineStream,
  { clock = monotonicClock, interval = 5000 }: { clock?: Clock; interval?: number } = {},
): CommandProgress {
  return new LinesProgress(stream, clock, interval);
}

class LinesProgress implements CommandProgress {
  readonly notes: string[] = [];
  readonly #stream: LineStream;
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #work: WorkMeter;
  readonly #startedAt: number;
  readonly #starting: NodeJS.Timeout;
  /** Tells of a phase that does not advance, such as one that waits. */
  readonly #ticking: NodeJS.Timeout;
  #printedAt: number | undefined;

  constructor(stream: LineStream, clock: Clock, interval: number) {
    this.#stream = stream;
    this.#clock = clock;
    this.#interval = interval;
    this.#work = new WorkMeter(clock);
    this.#startedAt = clock();
    this.#starting = setTimeout(() => {
      if (this.#printedAt === undefined) this.#printStatus();
    }, STARTING_AFTER).unref();
    this.#ticking = setInterval(() => {
      this.#printIfDue();
    }, interval / LOOKS).unref();
  }

  plan(...[phases]: Parameters<WorkMeter['plan']>): void {
    this.#work.plan(phases);
  }

  phase(...[name, total]: Parameters<WorkMeter['phase']>): void {
    this.#endPhase();
    this.#work.phase(name, total);
    if (this.#printedAt === undefined) this.#printStatus();
  }

  advance(bytes: number, items?: number): void {
    this.#work.advance(bytes, items);
    this.#printIfDue();
  }

  beside(...[name, bytes, total]: Parameters<WorkMeter['beside']>): void {
    this.#work.beside(name, bytes, total);
    this.#printIfDue();
  }

  readonly note = (message: string): void => {
    this.notes.push(message);
    this.#print(formatLine(message));
  };

  finish(outcome: 'done' | 'failed'): void {
    clearTimeout(this.#starting);
    clearInterval(this.#ticking);
    if (outcome === 'done') this.#endPhase();
  }

  #endPhase(): void {
    const { current } = this.#work;
    const summary = current && summaryLine(current, this.#clock(), this.#width);
    if (summary === undefined) return;
    this.#print(summary);
    this.#printedAt = this.#clock();
  }

  #printIfDue(): void {
    const now = this.#clock();
    if (this.#printedAt === undefined) return;
    const between = Math.max(this.#interval, Math.min((now - this.#startedAt) / 4, MOST_BETWEEN));
    if (now - this.#printedAt >= between) this.#printStatus();
  }

  #printStatus(): void {
    const now = this.#clock();
    this.#printedAt = now;
    this.#print(statusLine(this.#work, now, this.#width));
  }

  /** A pipe has no width, and a terminal without a window reports none. */
  get #width(): number {
    const { columns = 0 } = this.#stream;
    return columns > 0 ? columns : Infinity;
  }

  #print(line: string): void {
    this.#stream.write(`${line}\n`);
  }
}
