/** Collects the differences between a state and the place that it is compared with. */
import { VerificationError } from '../../errors.ts';
import type { ComparedState } from '../../snapshot/module-contract.ts';

/** How many differences an error names. */
const NAMED_DIFFERENCES = 10;

export interface Differences {
  equal(): void;
  /** @param what names the artifact and the difference */
  differs(what: string): void;
  /** Sets the number of all artifacts in the place. */
  countThere(count: number): void;
  counts(): ComparedState;
  /** @throws {VerificationError} `STATE_DIFFERS` with the first ten differences, if there are any */
  refuse(message: string): void;
}

/**
 * @param path the place, for errors
 * @param code of the error
 */
export function differences(path: string, code = 'STATE_DIFFERS'): Differences {
  const named: string[] = [];
  let count = 0;
  let equal = 0;
  let there = 0;
  return {
    equal: () => {
      equal += 1;
    },
    differs: (what) => {
      count += 1;
      if (named.length < NAMED_DIFFERENCES) named.push(what);
    },
    countThere: (found) => {
      there = found;
    },
    counts: () => ({ equal, onlyThere: Math.max(0, there - equal) }),
    refuse: (message) => {
      if (count === 0) return;
      throw new VerificationError(code, message, {
        path,
        expected: 'no differences',
        found: `${count} differences: ${named.join('; ')}${count > named.length ? ` and ${count - named.length} more` : ''}`,
      });
    },
  };
}
