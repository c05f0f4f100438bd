/** How a snapshot comes to be believed: this user made it, or verified it before, or all of it is verified now. */
import type { Progress } from '../io/progress.ts';
import { verifySnapshot } from '../modules/swingset/verify-snapshot.ts';
import type { Belief } from '../snapshot/belief.ts';
import { otherModules } from '../snapshot/manifest.ts';
import type { UnpackModulesOptions } from '../snapshot/read/unpack-modules.ts';
import type { KnownSnapshots } from './known-snapshots.ts';
import { modulesToWrite } from './places.ts';

export interface BeliefOptions extends Pick<
  UnpackModulesOptions,
  'codec' | 'pool' | 'scratchDir' | 'signal'
> {
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
      const silent = { purpose: 'verify', note: () => undefined } as const;
      const others = modulesToWrite(otherModules(file.manifest), [], silent);
      await verifySnapshot(stored, file, others, options);
      known.add(file.sha256);
    },
  };
}
