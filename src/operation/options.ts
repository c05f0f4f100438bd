/** Options that several operations share. */
import type { Progress } from '../io/progress.ts';
import type { Trust } from '../source/open.ts';

export interface OperationOptions {
  /** Directory for scratch files; by default one beside the output. */
  readonly scratchDir?: string | undefined;
  /**
   * Worker threads; by default one per processor, or one for two processors where a live store is read, and in any case
   * no more than take a quarter of the memory, with 150 MB each.
   */
  readonly concurrency?: number | undefined;
  /** By default nothing is reported. */
  readonly progress?: Progress | undefined;
  /** Aborts the operation with its reason; nothing is left behind. */
  readonly signal?: AbortSignal | undefined;
}

/** For an operation that reads a source. */
export interface SourceOptions extends OperationOptions, Trust {
  /** Path of a snapshot, a directory of several heights (the newest is read), an export directory, a state-sync snapshot or a node's home. */
  readonly source: string;
  /** The height to take from a directory of several; any other source must be at it. */
  readonly height?: number | undefined;
}
