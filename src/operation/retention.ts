/** `--keep-last`: removes old heights once a new one is durable. */
import { isNotPermitted } from '../io/files/system-error.ts';
import type { ZstdCodec } from '../io/zstd/codec.ts';
import { isFaultOfStored } from '../snapshot/gone.ts';
import { heightsAmong, snapshotName } from '../snapshot/layout.ts';
import { checkWhole } from '../snapshot/read/quick-verify.ts';
import { isSnapshot } from '../snapshot/write/existing.ts';
import type { SnapshotStorage } from '../storage/contract.ts';

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
  storage: SnapshotStorage,
  options: RetentionOptions,
): Promise<number[]> {
  const { keep, height } = options;
  if (keep === undefined) return [];
  const heights: number[] = [];
  for (const found of heightsAmong(await storage.list())) {
    if (found === height || (await isWhole(storage, snapshotName(found), options))) {
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
  storage: SnapshotStorage,
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
  storage: SnapshotStorage,
  name: string,
  { codec, note }: RetentionOptions,
): Promise<boolean> {
  try {
    const stored = await storage.open(name);
    if (!(await isSnapshot(stored))) return false;
    await checkWhole(stored, codec);
    return true;
  } catch (error) {
    if (!isFaultOfStored(error)) throw error;
    note(`${storage.location}/${name} is not counted, and is kept: ${error.message}`);
    return false;
  }
}
