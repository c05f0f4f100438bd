/**
 * What makes a stored snapshot more than a claim. Its hashes only say that it is what its author wrote: that its list
 * of entries is true, and its artifacts what their records say, is proved by reading all of it, once.
 */
import type { StoredSnapshot } from '../storage/contract.ts';
import type { ManifestFile } from './manifest.ts';

export interface Belief {
  /** Whether the snapshot of this manifest is known to have been made or fully verified by this user. */
  knows(file: ManifestFile): boolean;
  /**
   * Verifies all of a snapshot now, as `verify` does.
   * @throws {VerificationError} if anything is wrong with it, or its manifest is no longer `file`
   */
  verify(stored: StoredSnapshot, file: ManifestFile): Promise<void>;
}
