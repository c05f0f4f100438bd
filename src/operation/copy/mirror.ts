/** `copy --keep-*`: the place has what the rules keep of both places, and nothing else. */
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { snapshotName } from '../../snapshot/layout.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import { heightsIn } from '../place/choose.ts';
import { readHeight } from '../place/contents.ts';
import { removable, removeHeight, type RemovableHeight } from '../place/retention.ts';
import { keptBy, type DatedHeight, type KeepRules } from '../place/rules.ts';

export interface Mirroring {
  readonly place: SnapshotPlace;
  readonly codec: ZstdCodec;
  readonly note: (message: string) => void;
}

/**
 * Which heights stay or are copied. The rules see both places as one: otherwise what they drop would be copied again and
 * dropped again, night after night.
 * @param source its whole heights
 */
export async function keptOfBoth(
  source: readonly DatedHeight[],
  rules: KeepRules,
  mirroring: Mirroring,
): Promise<ReadonlySet<number>> {
  const inSource = new Set(source.map(({ height }) => height));
  const there = (await wholeHeights(mirroring)).filter(({ height }) => !inSource.has(height));
  return new Set(keptBy([...source, ...there], rules, new Date()).keys());
}

/**
 * Removes the heights of the place that are not kept, the lowest first. Removes none unless all that are kept are there.
 * @returns the heights that were removed
 */
export async function removeOthers(
  kept: ReadonlySet<number>,
  mirroring: Mirroring,
): Promise<number[]> {
  const { place, codec, note } = mirroring;
  const there = await wholeHeights(mirroring);
  const heights = new Set(there.map(({ height }) => height));
  const missing = [...kept].find((height) => !heights.has(height));
  if (missing !== undefined) {
    note(
      `nothing is removed: ${place.location}/${snapshotName(missing)} is to be kept, and is not there`,
    );
    return [];
  }
  const removed: number[] = [];
  for (const each of there.reverse()) {
    if (kept.has(each.height)) continue;
    if ((await removeHeight(place, each, { codec, note })) !== undefined) removed.push(each.height);
  }
  return removed;
}

/** The highest first. */
async function wholeHeights({ place, codec }: Mirroring): Promise<RemovableHeight[]> {
  const whole: RemovableHeight[] = [];
  for (const height of await heightsIn(place)) {
    const found = await readHeight(place, height, codec);
    if (found?.state === 'whole') whole.push(removable(found));
  }
  return whole;
}
