/**
 * How far the chunks of a snapshot may expand. zstd packs zeros to a thirty-thousandth, but an export only to a fifth or
 * a tenth, and even a heap full of zeros follows export data that packs less. Writers keep to half the limit, so that a
 * reader that loads chunks out of order accepts everything that they write.
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
    damaged('the compressed chunks expand to more than any store holds', {
      path: location,
      ...facts,
    }),
  );
}

/** Throws a {@link VerificationError} `TOO_REPETITIVE`. */
export function limitOfWriter(): ExpansionLimit {
  return new ExpansionLimit({ freeBytes: FREE_BYTES / 2, ratio: RATIO / 2 }, (facts) => {
    throw new VerificationError(
      'TOO_REPETITIVE',
      'the export compresses more than the snapshot format allows',
      {
        hint: 'do not make a snapshot of it: keep the export directory',
        ...facts,
      },
    );
  });
}
