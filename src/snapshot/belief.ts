/**
 * Which stored snapshots are proved. The hashes in a snapshot show only that it is as its author wrote it. To prove
 * that its list of entries is true, and that its artifacts match their records, all of it is read once.
 */
import type { StoredSnapshot } from '../storage/contract.ts';
import type { ManifestFile } from './manifest.ts';

export interface Belief {
  /** Whether this user is known to have made or fully verified the snapshot with this manifest. */
  knows(file: ManifestFile): boolean;
  /**
   * Verifies a whole snapshot now, as `verify` does.
   * @throws {VerificationError} if anything is wrong with it, or if its manifest is no longer `file`
   */
  verify(stored: StoredSnapshot, file: ManifestFile): Promise<void>;
}
