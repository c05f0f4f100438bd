/**
 * How much of an operation is done. Its work is a row of phases, each with a size in bytes, and work beside them.
 *
 * Sizes are estimates, and some are known late. So whenever the plan changes or a phase starts, the part of the whole
 * that is done stays as it is, and the rest of the whole is shared out over the bytes that are left. It never goes
 * back, and where all sizes were right from the start, it is the share of bytes that are done.
 */
import type { PlannedPhase, Progress, ProgressTotal } from './progress.ts';

/** Monotonic time in ms, from any origin. */
export type Clock = () => number;

/** The time left is computed from the progress of so many ms. */
const WINDOW_MS = 30_000;
/** How often the progress is noted for it, in ms. */
const NOTE_EVERY_MS = 500;
/** Before so many ms, and so much of the whole, the time left is mostly noise. */
const BELIEVED_MS = 3000;
const BELIEVED_PART = 0.005;

/** The current phase. */
export interface Phase {
  readonly name: string;
  readonly total: ProgressTotal;
  /** Bytes and items that are done in it. */
  readonly bytes: number;
  readonly items: number;
  /** On the meter's clock. */
  readonly startedAt: number;
}

/** Work that is done beside the phases. Bytes. */
interface Beside {
  readonly bytes: number;
  readonly total: number;
}

/** A moment, and the part of the whole that was done then. */
interface Moment {
  readonly at: number;
  readonly part: number;
}

/** Sums up progress reports. */
export class WorkMeter implements Omit<Required<Progress>, 'note'> {
  readonly #clock: Clock;
  #phase: Phase | undefined;
  /** Sizes of the phases to come, in order. */
  readonly #ahead = new Map<string, number>();
  /** Bytes of the current phase, as far as known. */
  #size: number | undefined;
  readonly #beside = new Map<string, Beside>();
  /** The part that was done when the rest was shared out, and the units of work that were done then. */
  #part = 0;
  #doneThen = 0;
  readonly #moments: Moment[] = [];

  constructor(clock: Clock = () => performance.now()) {
    this.#clock = clock;
  }

  get current(): Phase | undefined {
    return this.#phase;
  }

  plan(phases: readonly PlannedPhase[]): void {
    this.#shareOut(() => {
      for (const { name, bytes } of phases) {
        if (name === this.#phase?.name) this.#resize(this.#phase, bytes);
        else this.#ahead.set(name, bytes);
      }
    });
  }

  phase(name: string, total: ProgressTotal = {}): void {
    this.#shareOut(() => {
      const planned = this.#takeFromPlan(name);
      this.#size = total.bytes ?? planned;
      this.#phase = { name, total, bytes: 0, items: 0, startedAt: this.#clock() };
    });
  }

  advance(bytes: number, items = 0): void {
    if (this.#phase === undefined) return;
    this.#phase = {
      ...this.#phase,
      bytes: this.#phase.bytes + bytes,
      items: this.#phase.items + items,
    };
    this.#noteMoment();
  }

  beside(name: string, bytes: number, total: number): void {
    const known = this.#beside.get(name);
    if (known?.total === total && known.bytes <= bytes) this.#beside.set(name, { bytes, total });
    else {
      this.#shareOut(() => {
        this.#beside.set(name, { bytes, total });
      });
    }
    this.#noteMoment();
  }

  /** The part of the whole that is done: 0 to 1, never less than before. Undefined while nothing of it is known. */
  get part(): number | undefined {
    const { done, total } = this.#work();
    const left = total - this.#doneThen;
    if (left <= 0) return this.#part === 0 ? undefined : this.#part;
    return this.#part + (1 - this.#part) * ((done - this.#doneThen) / left);
  }

  /** Whole percents, 0 to 99: an operation that is at its end says so by ending. */
  get percent(): number | undefined {
    const { part } = this;
    return part === undefined ? undefined : Math.min(99, Math.floor(part * 100));
  }

  /** Milliseconds that the rest takes at the rate of the last half minute; undefined until that can be believed. */
  get timeLeft(): number | undefined {
    const now = this.#clock();
    const { part } = this;
    const [since] = this.#moments;
    if (part === undefined || since === undefined) return undefined;
    const gained = part - since.part;
    const took = now - since.at;
    if (took < BELIEVED_MS || gained < BELIEVED_PART) return undefined;
    return (took * (1 - part)) / gained;
  }

  #resize(phase: Phase, bytes: number): void {
    this.#size = bytes;
    // A total that was not given is not shown either.
    if (phase.total.bytes === undefined) return;
    this.#phase = { ...phase, total: { ...phase.total, bytes } };
  }

  /** Phases come in the order of the plan: those that were to come before this one do not come any more. */
  #takeFromPlan(name: string): number | undefined {
    const bytes = this.#ahead.get(name);
    if (bytes === undefined) return undefined;
    for (const earlier of [...this.#ahead.keys()]) {
      this.#ahead.delete(earlier);
      if (earlier === name) break;
    }
    return bytes;
  }

  /** Changes the plan, and keeps the part that is done. */
  #shareOut(change: () => void): void {
    this.#part = this.part ?? 0;
    change();
    this.#doneThen = this.#work().done;
    this.#noteMoment();
  }

  /** The work of the current phase, of those to come, and beside them, in bytes. */
  #work(): { readonly done: number; readonly total: number } {
    let { done, total } = workOf(this.#phase, this.#size);
    for (const bytes of this.#ahead.values()) total += bytes;
    for (const beside of this.#beside.values()) {
      done += beside.bytes;
      total += Math.max(beside.total, beside.bytes);
    }
    return { done, total };
  }

  #noteMoment(): void {
    const { part } = this;
    if (part === undefined) return;
    const at = this.#clock();
    const last = this.#moments.at(-1);
    if (last !== undefined && at - last.at < NOTE_EVERY_MS) return;
    this.#moments.push({ at, part });
    while (this.#moments.length > 2 && at - (this.#moments[1]?.at ?? at) >= WINDOW_MS) {
      this.#moments.shift();
    }
  }
}

/** A phase that is larger than its estimate is at its end, and grows. */
function workOf(
  phase: Phase | undefined,
  size: number | undefined,
): { readonly done: number; readonly total: number } {
  if (phase === undefined || phase.total.awaited === true) return { done: 0, total: 0 };
  const { total, bytes, items } = phase;
  if (size !== undefined && size > 0) return { done: bytes, total: Math.max(size, bytes) };
  if (total.items === undefined) return { done: 0, total: 0 };
  return { done: items, total: Math.max(total.items, items) };
}
