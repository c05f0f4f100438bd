import { describe, expect, it } from 'vitest';
import { hasRule, keptBy, type KeepRules } from '../../../src/operation/place/rules.ts';

const NOW = new Date('2026-06-30T12:00:00Z');
const DAY = 86_400_000;

/** Why each height stays, of heights 10, 20, … that were made at these times. */
function keptOf(
  times: readonly string[],
  rules: KeepRules,
  now = NOW,
): Record<string, readonly string[]> {
  const heights = times.map((at, index) => ({ height: 10 * (index + 1), at: new Date(at) }));
  return Object.fromEntries(keptBy(heights, rules, now));
}

describe('rules of retention', () => {
  const times = [
    '2026-05-31T23:59:59Z', // 10
    '2026-06-27T10:00:00Z', // 20, a Saturday
    '2026-06-28T10:00:00Z', // 30
    '2026-06-28T23:59:59Z', // 40, a Sunday
    '2026-06-29T00:00:00Z', // 50, a Monday
    '2026-06-30T10:00:00Z', // 60
  ];

  it('keep the highest heights, whenever they were made', () => {
    expect(keptOf(times.toReversed(), { last: 2 })).toEqual({ 60: ['last'], 50: ['last'] });
  });

  it('keep the last height of each day, week and month in UTC', () => {
    expect(keptOf(times, { daily: 3 })).toEqual({ 60: ['daily'], 50: ['daily'], 40: ['daily'] });
    expect(keptOf(times, { weekly: 2 })).toEqual({ 60: ['weekly'], 40: ['weekly'] });
    expect(keptOf(times, { monthly: 2 })).toEqual({ 60: ['monthly'], 10: ['monthly'] });
  });

  it('keep the oldest too while a rule has periods left', () => {
    const sameDay = ['2026-06-30T01:00:00Z', '2026-06-30T02:00:00Z', '2026-06-30T03:00:00Z'];
    expect(keptOf(sameDay, { daily: 2 })).toEqual({ 30: ['daily'], 10: ['daily'] });
    expect(keptOf(sameDay, { daily: 1 })).toEqual({ 30: ['daily'] });
  });

  it('keep what was made in a time before the newest, not before now', () => {
    const later = new Date(NOW.getTime() + 365 * DAY);
    expect(keptOf(times, { within: 2 * DAY }, later)).toEqual({
      60: ['within'],
      50: ['within'],
      40: ['within'],
    });
  });

  it('keep what any of them keeps, with each reason', () => {
    expect(keptOf(times, { last: 1, daily: 1, heights: [10, 60, 99] })).toEqual({
      60: ['last', 'height', 'daily'],
      10: ['height'],
    });
  });

  it('never remove the highest height', () => {
    expect(keptOf(times, { heights: [20] })).toEqual({ 20: ['height'], 60: ['highest'] });
    // The clock of its maker was a year behind.
    const behind = [...times, '2025-06-30T10:00:00Z'];
    expect(keptOf(behind, { daily: 1 })).toEqual({ 60: ['daily'], 70: ['highest'] });
  });

  it('keep what is from the future, and count only the others', () => {
    // This clock has jumped back to some days before height 20.
    const now = new Date('2026-06-26T09:00:00Z');
    const jumped = [...times, '2026-06-26T08:00:00Z'];
    const future = [20, 30, 40, 50, 60].map((height) => [height, ['from the future']]);
    expect(keptOf(jumped, { daily: 2 }, now)).toEqual({
      70: ['daily'],
      10: ['daily'],
      ...Object.fromEntries(future),
    });
    const yearBefore = new Date('2025-06-28T09:00:00Z');
    const all = [...times, '2025-06-27T08:00:00Z', '2025-06-28T08:00:00Z'];
    expect(keptOf(all, { last: 1, within: DAY / 2 }, yearBefore)).toEqual({
      ...Object.fromEntries([10, 20, 30, 40, 50, 60].map((each) => [each, ['from the future']])),
      80: ['last', 'within'],
    });
  });

  it('are there only if one was given', () => {
    expect(hasRule({})).toBe(false);
    expect(hasRule({ last: undefined, heights: [] })).toBe(false);
    expect(hasRule({ heights: [1] })).toBe(true);
    expect(hasRule({ within: 1 })).toBe(true);
  });
});
