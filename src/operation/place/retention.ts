/** Removes heights that no rule keeps, once what stays is durable. */
import { StorageError } from '../../errors.ts';
import { isNotPermitted } from '../../io/files/system-error.ts';
import { listed } from '../../io/listed.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { heightsAmong, snapshotName } from '../../snapshot/layout.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import { readHeight, type WholeHeight } from './contents.ts';
import { hasRule, isInFuture, keptBy, type KeepRules } from './rules.ts';

export interface RetentionOptions {
  /** All heights stay if there is none. */
  readonly rules: KeepRules;
  /** The height just made. It stays even if no rule keeps it. */
  readonly height: number;
  readonly codec: ZstdCodec;
  /** Reports what is kept because it is not whole, is from the future, or cannot be removed. */
  readonly note: (message: string) => void;
}

/**
 * Removes the heights that no rule keeps. It counts only whole snapshots, so that none is removed in favour of one that
 * cannot be restored, and it removes only whole ones.
 * @returns the heights that were removed, the highest first
 */
export async function thinOut(place: SnapshotPlace, options: RetentionOptions): Promise<number[]> {
  const { rules, height, codec, note } = options;
  if (!hasRule(rules)) return [];
  const whole: RemovableHeight[] = [];
  for (const each of heightsAmong(await place.list())) {
    const found = await readHeight(place, each, codec);
    if (found?.state === 'whole') whole.push(removable(found));
    // What is not a snapshot is silently skipped: unrelated directories may have numbers for names.
    if (found?.state !== 'damaged') continue;
    note(`${place.location}/${found.name} is not counted, and is kept: ${found.reason}`);
  }
  const now = new Date();
  const kept = keptBy(whole, rules, now);
  const removed: number[] = [];
  for (const each of whole) {
    if (isInFuture(each.at, now)) {
      const path = `${place.location}/${snapshotName(each.height)}`;
      note(`${path} is kept: it is from the future, ${each.at.toISOString()}`);
    }
    if (each.height === height || kept.has(each.height)) continue;
    if ((await removeHeight(place, each, options)) !== undefined) removed.push(each.height);
  }
  return removed;
}

/** A height that was found whole, and how to know it again. */
export interface RemovableHeight {
  readonly height: number;
  readonly at: Date;
  readonly manifestSha256: string;
}

export function removable({ height, made, file }: WholeHeight): RemovableHeight {
  return { height, at: made.at, manifestSha256: file.sha256 };
}

/**
 * Removes a height, unless it is no longer the one that was found.
 * @param note is told why it is not removed. The snapshot of another user, which this user may read, may be one that
 *   this user may not remove
 * @returns the bytes that nothing else had, 0 if it was gone already; undefined if it is still there
 */
export async function removeHeight(
  place: SnapshotPlace,
  { height, manifestSha256 }: RemovableHeight,
  { codec, note }: Pick<RetentionOptions, 'codec' | 'note'>,
): Promise<number | undefined> {
  const found = await readHeight(place, height, codec);
  if (found === undefined) return 0;
  const path = `${place.location}/${found.name}`;
  if (found.state !== 'whole' || found.file.sha256 !== manifestSha256) {
    note(`${path} is not removed: it was changed meanwhile`);
    return undefined;
  }
  try {
    await place.remove(found.name);
    return found.ownBytes;
  } catch (error) {
    if (!(error instanceof Error && isNotPermitted(error))) throw error;
    note(`${path} is not removed: ${error.message}`);
    return undefined;
  }
}

/** Bytes that would be free without these heights: of files all of whose names are theirs. */
export async function freedBy(
  place: SnapshotPlace,
  heights: readonly Pick<RemovableHeight, 'height'>[],
  codec: ZstdCodec,
): Promise<number> {
  const seen = new Map<string, number>();
  let freed = 0;
  for (const { height } of heights) {
    const found = await readHeight(place, height, codec);
    if (found?.state !== 'whole') continue;
    for (const { id, links, size } of found.files) {
      const names = (seen.get(id) ?? 0) + 1;
      if (names === links) freed += size;
      if (names < links) seen.set(id, names);
      else seen.delete(id);
    }
  }
  return freed;
}

/** The error after all else was removed. */
export function notRemoved(place: SnapshotPlace, left: readonly (string | number)[]): StorageError {
  return new StorageError('NOT_REMOVED', 'not everything could be removed', {
    path: place.location,
    found: `still there: ${listed(left)}`,
    hint: 'run this as the user that made them; prune --dry-run shows what is there',
  });
}
