/**
 * Waits for a height without touching the node. All operators who snapshot the same height hold the same commit, and
 * can compare one `operationalHash`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SwingSnapError, TimeoutError, type ErrorFacts } from '../../errors.ts';
import { databasePath } from '../../formats/swing-store/layout.ts';
import { PinnedStore, type PinOptions } from '../../formats/swing-store/read/pinned-store.ts';
import type { Progress } from '../../io/progress.ts';

/** The wanted commit: a given height, or the next multiple of `every`. */
export type AwaitedHeight = { readonly atHeight: number } | { readonly every: number };

/** How often to check whether the database has changed, in milliseconds. A check takes some ten microseconds. */
const WATCH_MS = 20;

export interface AwaitHeightOptions extends Omit<PinOptions, 'height'> {
  /** Maximum wait, in milliseconds. */
  readonly timeout?: number | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  /** Called with the awaited height, once it is known. */
  readonly onAwait?: ((height: number) => void) | undefined;
}

/**
 * Opens the store, pinned at exactly the wanted commit.
 * @throws {SwingSnapError} `HEIGHT_PAST` at once if the store is past it, `HEIGHT_MISSED` if it went by unseen
 * @throws {TimeoutError} `TIMEOUT`
 */
export async function awaitHeight(
  stateDir: string,
  awaited: AwaitedHeight,
  options: AwaitHeightOptions,
): Promise<PinnedStore> {
  const { progress, signal, timeout } = options;
  const deadline = timeout === undefined ? Infinity : performance.now() + timeout;
  const store = await PinnedStore.open(stateDir, options);
  try {
    const start = store.height;
    const target =
      'atHeight' in awaited
        ? awaited.atHeight
        : (Math.floor(start / awaited.every) + 1) * awaited.every;
    if (start > target) throw past(store, target);
    options.onAwait?.(target);
    let told = -1;
    // The transaction that is kept is the very one whose first read was the height.
    while (store.height !== target) {
      if (store.height > target) throw missed(store, target);
      if (store.height !== told) {
        progress.phase(`waiting for height ${target}, now at ${store.height}`, { awaited: true });
        told = store.height;
      }
      if (store.isCopy) throw unwatchable(store, target);
      const version = store.dataVersion();
      store.unpin();
      while (store.dataVersion() === version) {
        signal?.throwIfAborted();
        if (performance.now() >= deadline) throw timedOut(store, target);
        refuseReplaced(store);
        await sleep(WATCH_MS);
      }
      store.pin();
    }
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** A restored store is another file: the handle would watch the old one forever. */
function refuseReplaced(store: PinnedStore): void {
  if (!store.isReplaced) return;
  throw new SwingSnapError('STORE_REPLACED', 'the SwingStore was replaced while it was watched', {
    path: databasePath(store.stateDir),
    hint: 'run it again',
  });
}

/** Facts of an error about the height that is awaited. */
function facts({ stateDir, height }: PinnedStore, expected: number, hint: string): ErrorFacts {
  return { path: databasePath(stateDir), expected, found: height, hint };
}

function past(store: PinnedStore, expected: number): SwingSnapError {
  const hint = 'name a later height, or use --every';
  const message = 'the SwingStore is already past the requested height';
  return new SwingSnapError('HEIGHT_PAST', message, facts(store, expected, hint));
}

function missed(store: PinnedStore, expected: number): SwingSnapError {
  const hint =
    'the node commits faster than swingsnap can look: wait until the node has caught up, then name a later height';
  const message = 'the SwingStore skipped past the requested height between two looks';
  return new SwingSnapError('HEIGHT_MISSED', message, facts(store, expected, hint));
}

function unwatchable(store: PinnedStore, expected: number): SwingSnapError {
  const hint =
    'run it as a user that may write to the directory of the store, so that the store is read in place';
  const message =
    'cannot wait for a height: the SwingStore is read from a scratch copy, which does not change';
  return new SwingSnapError('NOT_WATCHABLE', message, facts(store, expected, hint));
}

function timedOut(store: PinnedStore, expected: number): TimeoutError {
  const hint = 'check that the node is running, or allow more time with --timeout';
  const message = 'the SwingStore did not reach the height in time';
  return new TimeoutError('TIMEOUT', message, facts(store, expected, hint));
}
