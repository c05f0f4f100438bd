/** Bounds of a pinned view: while it is held, the node's `-wal` cannot shrink. */
import { SwingSnapError, TimeoutError } from '../../errors.ts';
import type { PinnedStore } from '../../formats/swing-store/read/pinned-store.ts';

export interface PinBounds {
  /** Maximum size of the store's `-wal`, in bytes. */
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
  const timer = setInterval(() => {
    const error = look();
    if (error !== undefined) controller.abort(error);
  }, LOOK_EVERY_MS);
  return {
    signal: signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]),
    throwIfDue: () => {
      const error = look();
      if (error !== undefined) throw error;
    },
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
    const wal = store.isCopy ? 0 : store.walBytes();
    if (wal > maxWal) return walTooLarge(store, maxWal, wal);
    const isOver = maxTime !== undefined && performance.now() - since > maxTime;
    return isOver ? tooLong(store, maxTime) : undefined;
  }, signal);
}

function walTooLarge(store: PinnedStore, expected: number, found: number): SwingSnapError {
  return new SwingSnapError(
    'MAX_WAL',
    "the node's -wal grew larger than --max-wal during the read",
    {
      path: `${store.stateDir}/swingstore.sqlite-wal`,
      expected: `at most ${expected} bytes`,
      found: `${found} bytes`,
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
