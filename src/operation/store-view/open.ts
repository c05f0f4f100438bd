/** Opens the store of an operation at its present height, at a requested height, or at a future one. */
import { PinnedStore } from '../../formats/swing-store/read/pinned-store.ts';
import type { Progress } from '../../io/progress.ts';
import { awaitHeight, type AwaitedHeight } from './await-height.ts';

export interface StoreViewOptions {
  readonly stateDir: string;
  /** The height that the store must be at. */
  readonly height?: number | undefined;
  /** The height to wait for instead. */
  readonly awaited?: AwaitedHeight | undefined;
  /** Maximum wait for that height, in milliseconds. */
  readonly timeout?: number | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** Throws what `PinnedStore.open` and `awaitHeight` throw. */
export async function openStoreView(
  { stateDir, height, awaited, timeout, progress, signal }: StoreViewOptions,
  scratchDir: string,
  onAwait?: (height: number) => void,
): Promise<PinnedStore> {
  const { note } = progress;
  // Opening may copy the store, and what follows measures it.
  progress.phase('opening the store');
  if (awaited === undefined) return PinnedStore.open(stateDir, { height, scratchDir, note });
  return awaitHeight(stateDir, awaited, { scratchDir, note, timeout, progress, signal, onAwait });
}
