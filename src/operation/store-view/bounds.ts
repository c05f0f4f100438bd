/** Bounds of a pinned view: while it is held, the node cannot begin its `-wal` again. */
import { SwingSnapError, TimeoutError } from '../../errors.ts';
import type { PinnedStore } from '../../formats/swing-store/read/pinned-store.ts';

export interface PinBounds {
  /** Maximum growth of the store's `-wal` since the view was pinned, in bytes. */
  readonly maxWal?: number | undefined;
  /** Maximum time to hold the view, in milliseconds. */
  readonly maxTime?: number | undefined;
}

/** In bytes. Keeps a busy node's `-wal` from filling its disk. */
export const DEFAULT_MAX_WAL = 10_000_000_000;

const LOOK_EVERY_MS = 50;

/** A signal that a regular check may abort. */
export interface Lookout {
  readonly signal: AbortSignal;
  /** Checks once more, and throws what would abort the signal: a process may have stood still between two checks. */
  readonly throwIfDue: () => void;
  /** Ends the checks, without aborting the signal. */
  end(): void;
}

/**
 * Aborts when `look` returns an error, with that error as the reason.
 * @param signal also aborts it
 */
export function lookOut(
  look: () => SwingSnapError | undefined,
  signal: AbortSignal | undefined,
): Lookout {
  const controller = new AbortController();
  const throwIfDue = (): void => {
    const error = look();
    if (error !== undefined) throw error;
  };
  const timer = setInterval(() => {
    try {
      throwIfDue();
    } catch (error) {
      controller.abort(error);
    }
  }, LOOK_EVERY_MS);
  return {
    signal: signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]),
    throwIfDue,
    end: () => {
      clearInterval(timer);
    },
  };
}

/** Aborts when a bound of the pinned view is exceeded: `MAX_WAL`, `MAX_TIME`. */
export function watchPin(
  store: PinnedStore,
  { maxWal = DEFAULT_MAX_WAL, maxTime }: PinBounds,
  signal: AbortSignal | undefined,
): Lookout {
  const since = performance.now();
  return lookOut(() => {
    const growth = store.isCopy ? 0 : store.walGrowth();
    if (growth > maxWal) return walTooLarge(store, maxWal, growth);
    const isOver = maxTime !== undefined && performance.now() - since > maxTime;
    return isOver ? tooLong(store, maxTime) : undefined;
  }, signal);
}

function walTooLarge(store: PinnedStore, expected: number, found: number): SwingSnapError {
  return new SwingSnapError(
    'MAX_WAL',
    "the node's -wal grew by more than --max-wal during the read",
    {
      path: `${store.stateDir}/swingstore.sqlite-wal`,
      expected: `at most ${expected} bytes more`,
      found: `${found} bytes more than when the view was pinned`,
      hint: 'run it at a quieter time, or allow more with --max-wal',
    },
  );
}

function tooLong(store: PinnedStore, maxTime: number): TimeoutError {
  return new TimeoutError('MAX_TIME', 'the SwingStore was read for longer than --max-time', {
    path: store.stateDir,
    expected: `at most ${maxTime / 1000} seconds`,
    hint: 'allow more with --max-time',
  });
}
