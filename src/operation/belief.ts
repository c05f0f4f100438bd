/** When a snapshot is believed: this user made it, or verified it before, or all of it is verified now. */
import { withinPhase, type Progress } from '../io/progress.ts';
import type { Belief } from '../snapshot/belief.ts';
import { verifyStored, type VerifyStoredOptions } from '../source/verify-stored.ts';
import type { KnownSnapshots } from './known-snapshots.ts';

export interface BeliefOptions extends VerifyStoredOptions {
  /** Is consulted, and records what is verified. */
  readonly known: KnownSnapshots;
  /** Gets a note of each verification, and one phase. */
  readonly progress: Progress;
}

export function believing({ known, progress, ...options }: BeliefOptions): Belief {
  return {
    knows: ({ sha256 }) => known.has(sha256),
    verify: async (stored, file) => {
      progress.note(
        `all of ${stored.location} is verified now: this user neither made nor verified it before`,
      );
      const { exportData, artifacts } = file.manifest.modules.swingset;
      const bytes = exportData.size + artifacts.size;
      progress.phase(`snapshot of height ${file.manifest.height}`, { bytes });
      await verifyStored(stored, file, { ...options, progress: withinPhase(progress) });
      known.add(file.sha256);
    },
  };
}
