/**
 * How far the chunks of a snapshot may expand. zstd packs zeros into a thirty-thousandth; an export goes to a fifth or a
 * tenth, and even a heap full of zeros comes behind export data that does not. Writers keep to half of it, so that a
 * reader which loads chunks out of turn takes whatever was written.
 */
import { VerificationError } from '../errors.ts';
import { ExpansionLimit } from '../io/bytes/expansion-limit.ts';
import { damaged } from './layout.ts';

/** More than the largest value that a SwingStore can hold. */
const FREE_BYTES = 2 * 2 ** 30;
const RATIO = 1000;

/** @param location names the snapshot in errors */
export function limitOfReader(location: string): ExpansionLimit {
  return new ExpansionLimit({ freeBytes: FREE_BYTES, ratio: RATIO }, (facts) =>
    damaged('more comes out of compressed chunks than any store holds', {
      path: location,
      ...facts,
    }),
  );
}

/** Throws a {@link VerificationError} `TOO_REPETITIVE`. */
export function limitOfWriter(): ExpansionLimit {
  return new ExpansionLimit({ freeBytes: FREE_BYTES / 2, ratio: RATIO / 2 }, (facts) => {
    throw new VerificationError('TOO_REPETITIVE', 'the export packs further than readers take', {
      hint: 'keep it as an export directory',
      ...facts,
    });
  });
}
