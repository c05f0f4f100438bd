/** `--keep-*`: which heights stay. */
import type { KeepRules } from '../../operation/place/rules.ts';
import { duration, RETENTION, wholeNumber } from './flags.ts';

const ofCount = { helpGroup: RETENTION, helpValue: 'N', min: 1 } as const;

export const keepFlags = {
  'keep-last': wholeNumber({ ...ofCount, summary: 'Keep the N highest snapshots.' }),
  'keep-daily': wholeNumber({
    ...ofCount,
    summary: 'Keep the last snapshot of each of N days (UTC) that have one.',
  }),
  'keep-weekly': wholeNumber({ ...ofCount, summary: 'The same by weeks, which begin on Mondays.' }),
  'keep-monthly': wholeNumber({ ...ofCount, summary: 'The same by months.' }),
  'keep-within': duration({
    helpGroup: RETENTION,
    summary: 'Keep what was made in this time before the newest snapshot: 30d.',
  }),
  'keep-height': wholeNumber({
    helpGroup: RETENTION,
    summary: 'Keep this height; may be repeated.',
    helpValue: 'N',
    multiple: true,
    multipleNonGreedy: true,
  }),
};

export const KEEP_FLAGS = Object.keys(keepFlags) as (keyof typeof keepFlags)[];

/** What {@link keepFlags} mean to the library. */
export function keepRules(flags: {
  readonly 'keep-last'?: number | undefined;
  readonly 'keep-daily'?: number | undefined;
  readonly 'keep-weekly'?: number | undefined;
  readonly 'keep-monthly'?: number | undefined;
  readonly 'keep-within'?: number | undefined;
  readonly 'keep-height'?: readonly number[] | undefined;
}): KeepRules {
  return {
    last: flags['keep-last'],
    daily: flags['keep-daily'],
    weekly: flags['keep-weekly'],
    monthly: flags['keep-monthly'],
    within: flags['keep-within'],
    heights: flags['keep-height'],
  };
}
