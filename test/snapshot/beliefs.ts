/** What tests believe of snapshots. */
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import type { Belief } from '../../src/snapshot/belief.ts';
import { verifyStored } from '../../src/source/verify-stored.ts';

/** Takes every snapshot for one that this user made. */
export const ourOwn: Belief = {
  knows: () => true,
  verify: () => Promise.reject(new Error('it is known')),
};

/** Knows none, and verifies all. */
export const stranger: Belief = {
  knows: () => false,
  verify: async (stored, file) => verifyStored(stored, file, { codec: await loadZstdCodec() }),
};
