/** `--keep-last`: which heights go once a new one is durable. */
import type { ZstdCodec } from '../io/zstd/codec.ts';
import { isFaultOfStored } from '../snapshot/gone.ts';
import { heightsAmong, snapshotName } from '../snapshot/layout.ts';
import { checkWhole } from '../snapshot/read/quick-verify.ts';
import { isSnapshot } from '../snapshot/write/existing.ts';
import type { SnapshotStorage } from '../storage/contract.ts';

export interface RetentionOptions {
  /** How many of the highest heights stay; undefined: all. */
  readonly keep: number | undefined;
  /** The one that was just made, which stays even where higher ones are there. */
  readonly height: number;
  readonly codec: ZstdCodec;
  /** Told what is left because it is not whole. */
  readonly note: (message: string) => void;
}

/**
 * Removes what is below the highest heights. Only whole ones are counted, so that none goes in exchange for one that
 * nothing can be restored from; and only whole ones are removed.
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
  const removed = heights.slice(keep).filter((found) => found !== height);
  for (const old of removed) await storage.remove(snapshotName(old));
  return removed;
}

/** What is no snapshot at all is passed over without a word: directories of others may be called by numbers. */
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
    note(`${storage.location}/${name} is not counted, and left: ${error.message}`);
    return false;
  }
}
