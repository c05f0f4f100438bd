/**
 * Which heights stay: the rules of restic's `forget`, by when a height was made, in UTC. A height stays if any rule
 * keeps it.
 */

/** At least one is given. */
export interface KeepRules {
  /** The highest heights. */
  readonly last?: number | undefined;
  /** The last height of each of so many days, ISO weeks or months that have one. */
  readonly daily?: number | undefined;
  readonly weekly?: number | undefined;
  readonly monthly?: number | undefined;
  /** Those made in this time before the newest, in milliseconds. */
  readonly within?: number | undefined;
  readonly heights?: readonly number[] | undefined;
}

/** What the rules look at. */
export interface DatedHeight {
  readonly height: number;
  readonly at: Date;
}

/** Why heights stay, by height. One that is not in it may be removed. */
export type Kept = ReadonlyMap<number, readonly string[]>;

const DAY_MS = 86_400_000;
/** How far the clocks of two machines may be apart. */
const CLOCK_TOLERANCE_MS = DAY_MS;

/** Whether there is any rule: without one, all would go. */
export function hasRule({ heights = [], ...rules }: KeepRules): boolean {
  return heights.length > 0 || Object.values(rules).some((rule) => rule !== undefined);
}

/** Whether this was made so far after `now` that one of two clocks is wrong. */
export function isInFuture(at: Date, now: Date): boolean {
  return at.getTime() - now.getTime() > CLOCK_TOLERANCE_MS;
}

/**
 * Applies the rules.
 * @param now by the clock of this machine. A height from the future stays, and counts for no rule about time: either its
 *   maker's clock was ahead or this one is behind, and in both cases the order of times is not the order of heights
 */
export function keptBy(heights: readonly DatedHeight[], rules: KeepRules, now: Date): Kept {
  const kept = new Map<number, string[]>();
  const keep = ({ height }: DatedHeight, reason: string): void => {
    kept.set(height, [...(kept.get(height) ?? []), reason]);
  };
  const byHeight = [...heights].sort((a, b) => b.height - a.height);
  for (const each of byHeight.slice(0, rules.last ?? 0)) keep(each, 'last');
  for (const each of byHeight) if (rules.heights?.includes(each.height)) keep(each, 'height');
  for (const each of byHeight) if (isInFuture(each.at, now)) keep(each, 'from the future');
  const byTime = byHeight
    .filter(({ at }) => !isInFuture(at, now))
    .sort((a, b) => b.at.getTime() - a.at.getTime() || b.height - a.height);
  const newest = byTime[0]?.at.getTime() ?? 0;
  if (rules.within !== undefined) {
    const since = newest - rules.within;
    for (const each of byTime) if (each.at.getTime() > since) keep(each, 'within');
  }
  for (const [period, periodOf] of PERIODS) {
    for (const each of lastOfEach(byTime, periodOf, rules[period] ?? 0)) keep(each, period);
  }
  // No rule but one by height can mean that a place loses its newest state.
  const [highest] = byHeight;
  if (highest !== undefined && !kept.has(highest.height)) keep(highest, 'highest');
  return kept;
}

const PERIODS = [
  ['daily', (at: Date): number => Math.floor(at.getTime() / DAY_MS)],
  ['weekly', (at: Date): number => weekOf(at)],
  ['monthly', (at: Date): number => at.getUTCFullYear() * 12 + at.getUTCMonth()],
] as const;

/** Weeks begin on Mondays. 1970 began on a Thursday. */
function weekOf(at: Date): number {
  return Math.floor((Math.floor(at.getTime() / DAY_MS) + 3) / 7);
}

/**
 * The last of each period, for so many periods. If there are fewer, the oldest of all stays too: so a history grows as
 * long as the rule allows.
 * @param byTime the newest first
 */
function lastOfEach(
  byTime: readonly DatedHeight[],
  periodOf: (at: Date) => number,
  periods: number,
): DatedHeight[] {
  const taken: DatedHeight[] = [];
  let last: number | undefined;
  for (const [at, each] of byTime.entries()) {
    if (taken.length >= periods) break;
    const period = periodOf(each.at);
    if (period === last && at < byTime.length - 1) continue;
    last = period;
    taken.push(each);
  }
  return taken;
}
