/** What was found to differ when a state is compared with what stands somewhere. */
import { VerificationError } from '../../errors.ts';
import type { ComparedState } from '../../snapshot/module-contract.ts';

/** How many differences are named. */
const NAMED_DIFFERENCES = 10;

export interface Differences {
  equal(): void;
  /** @param what names the artifact, and says what is with it */
  differs(what: string): void;
  /** So many artifacts are there in all. */
  countThere(count: number): void;
  counts(): ComparedState;
  /** @throws {VerificationError} `STATE_DIFFERS` with the first ten differences, if there is any */
  refuse(message: string): void;
}

/**
 * @param path the place, for errors
 * @param code of the error that names them
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
        found: `${count} differences: ${named.join('; ')}`,
      });
    },
  };
}
