/** `--keep-last`: removes old heights once a new one is durable. */
import { isNotPermitted } from '../../io/files/system-error.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { heightsAmong, snapshotName } from '../../snapshot/layout.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import { readHeight } from './contents.ts';

export interface RetentionOptions {
  /** How many of the highest heights to keep; all if undefined. */
  readonly keep: number | undefined;
  /** The height just made. It stays even if there are higher ones. */
  readonly height: number;
  readonly codec: ZstdCodec;
  /** Reports what is kept because it is not whole, or cannot be removed. */
  readonly note: (message: string) => void;
}

/**
 * Removes all but the highest heights. It counts only whole snapshots, so that none is removed in favour of one that
 * cannot be restored, and it removes only whole ones.
 * @returns the heights that were removed
 */
export async function keepLast(
  storage: SnapshotPlace,
  options: RetentionOptions,
): Promise<number[]> {
  const { keep, height } = options;
  if (keep === undefined) return [];
  const heights: number[] = [];
  for (const found of heightsAmong(await storage.list())) {
    if (found === height || (await isWhole(storage, found, options))) {
      heights.push(found);
    }
  }
  const removed: number[] = [];
  for (const old of heights.slice(keep).filter((found) => found !== height)) {
    if (await isRemoved(storage, snapshotName(old), options)) removed.push(old);
  }
  return removed;
}

/** The snapshot of another user, which this user may read, may be one that this user may not remove. */
async function isRemoved(
  storage: SnapshotPlace,
  name: string,
  { note }: RetentionOptions,
): Promise<boolean> {
  try {
    await storage.remove(name);
    return true;
  } catch (error) {
    if (!(error instanceof Error && isNotPermitted(error))) throw error;
    note(`${storage.location}/${name} is not removed: ${error.message}`);
    return false;
  }
}

/** Silently skips what is not a snapshot: unrelated directories may have numbers for names. */
async function isWhole(
  place: SnapshotPlace,
  height: number,
  { codec, note }: RetentionOptions,
): Promise<boolean> {
  const found = await readHeight(place, height, codec);
  if (found?.state === 'damaged') {
    note(`${place.location}/${found.name} is not counted, and is kept: ${found.reason}`);
  }
  return found?.state === 'whole';
}
