/** `prune`: thins out a place. */
import { UsageError } from '../../errors.ts';
import { isNotPermitted } from '../../io/files/system-error.ts';
import { noProgress } from '../../io/progress.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import type { OperationOptions } from '../options.ts';
import { readPlace, type HalfMade } from './contents.ts';
import { factsOf, OtherThings, type HeightFacts, type Others } from './facts.ts';
import { existingPlace } from './open.ts';
import { freedBy, notRemoved, removable, removeHeight, type RemovableHeight } from './retention.ts';
import { hasRule, keptBy, type KeepRules } from './rules.ts';

export interface PruneOptions extends Pick<OperationOptions, 'progress' | 'signal'> {
  readonly snapshotDir: string;
  readonly rules: KeepRules;
  /** Only tells what would be done. */
  readonly dryRun?: boolean | undefined;
  /**
   * How long nothing in a half-made snapshot must have changed before it is removed, in milliseconds; by default
   * {@link DEFAULT_STALE_MS}. One whose process lives is never removed.
   */
  readonly stale?: number | undefined;
}

/** Longer than any snapshot takes, also on another machine whose processes cannot be seen from here. */
export const DEFAULT_STALE_MS = 2 * 86_400_000;

/** What becomes of a height. */
export interface PrunedHeight extends HeightFacts {
  readonly isKept: boolean;
  /** The rules that keep it; none if it is removed. */
  readonly reasons: readonly string[];
}

export interface Pruned extends Others {
  readonly place: string;
  readonly dryRun: boolean;
  /** The highest first. */
  readonly heights: readonly PrunedHeight[];
  /** Half-made snapshots that were removed. */
  readonly leftovers: readonly { readonly name: string; readonly size: number }[];
  /** Bytes of what was removed that nothing else has; under `dryRun`, of what would be removed. */
  readonly freed: number;
}

/**
 * Removes the whole heights that no rule keeps, and half-made snapshots whose process has ended. What is damaged or
 * foreign is told, and stays.
 * @throws {UsageError} `NO_RULE`; {@link StorageError} `NOT_REMOVED` if something is still there, after all else is removed
 * @throws as `existingPlace`
 */
export async function prune(options: PruneOptions): Promise<Pruned> {
  const { rules, dryRun = false, stale = DEFAULT_STALE_MS, signal } = options;
  const { progress = noProgress } = options;
  if (!hasRule(rules)) {
    throw new UsageError('NO_RULE', 'no rule says what to keep', {
      hint: 'give at least one, for instance --keep-last 3 or --keep-daily 7; --dry-run shows what it would do',
    });
  }
  const place = existingPlace(options.snapshotDir, !dryRun);
  const codec = await loadZstdCodec();
  const found: { readonly facts: HeightFacts; readonly removable: RemovableHeight }[] = [];
  const others = new OtherThings();
  const leftovers: HalfMade[] = [];
  const now = new Date();
  for await (const item of readPlace(place, { codec, signal })) {
    if (item.state === 'whole') found.push({ facts: factsOf(item), removable: removable(item) });
    else if (item.state === 'half-made' && isStale(item, now, stale)) leftovers.push(item);
    else others.add(item);
  }
  const kept = keptBy(
    found.map(({ removable: one }) => one),
    rules,
    now,
  );
  const going = found
    .map(({ removable: one }) => one)
    .filter(({ height }) => !kept.has(height))
    // The lowest first: if this is interrupted, the newer ones are still there.
    .reverse();
  const failed = new Set<number>();
  let freed = dryRun ? await freedBy(place, going, codec) : 0;
  for (const one of dryRun ? [] : going) {
    signal?.throwIfAborted();
    const bytes = await removeHeight(place, one, { codec, note: progress.note });
    freed += bytes ?? 0;
    if (bytes === undefined) failed.add(one.height);
  }
  const gone: HalfMade[] = [];
  for (const one of leftovers) {
    if (dryRun || (await isRemoved(place, one, progress.note))) gone.push(one);
    else others.add(one);
  }
  if (failed.size > 0) throw notRemoved(place, [...failed]);
  return {
    place: place.location,
    dryRun,
    heights: found.map(({ facts }) => {
      const reasons = kept.get(facts.height);
      return { ...facts, isKept: reasons !== undefined, reasons: reasons ?? [] };
    }),
    leftovers: gone.map(({ name, size }) => ({ name, size })),
    ...others.told(),
    freed: gone.reduce((sum, { size }) => sum + size, freed),
  };
}

/** Whether its process has ended, and nothing in it has changed for long. */
function isStale({ holder, changed }: HalfMade, now: Date, stale: number): boolean {
  return holder === 'ended process' && now.getTime() - changed.getTime() > stale;
}

async function isRemoved(
  place: SnapshotPlace,
  { name }: HalfMade,
  note: (message: string) => void,
): Promise<boolean> {
  try {
    return await place.removeUnfinished(name);
  } catch (error) {
    if (!(error instanceof Error && isNotPermitted(error))) throw error;
    note(`${place.location}/${name} is not removed: ${error.message}`);
    return false;
  }
}
