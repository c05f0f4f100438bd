/** How a snapshot comes to be believed: this user made it, or verified it before, or all of it is verified now. */
import type { Progress } from '../io/progress.ts';
import type { Belief } from '../snapshot/belief.ts';
import { verifyStored, type VerifyStoredOptions } from '../source/verify-stored.ts';
import type { KnownSnapshots } from './known-snapshots.ts';

export interface BeliefOptions extends VerifyStoredOptions {
  /** Is asked, and told of what is verified. */
  readonly known: KnownSnapshots;
  /** Told what is verified; the phases of it are its own. */
  readonly progress: Pick<Progress, 'note'>;
}

export function believing({ known, progress, ...options }: BeliefOptions): Belief {
  return {
    knows: ({ sha256 }) => known.has(sha256),
    verify: async (stored, file) => {
      progress.note(
        `all of ${stored.location} is verified: nothing says yet that it is what it says`,
      );
      await verifyStored(stored, file, options);
      known.add(file.sha256);
    },
  };
}
