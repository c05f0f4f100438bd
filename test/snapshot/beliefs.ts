/** What tests believe of snapshots. */
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { verifySnapshot } from '../../src/modules/swingset/verify-snapshot.ts';
import type { Belief } from '../../src/snapshot/belief.ts';

/** Takes every snapshot for one that this user made. */
export const ourOwn: Belief = {
  knows: () => true,
  verify: () => Promise.reject(new Error('it is known')),
};

/** Knows none, and verifies those that hold a SwingStore and nothing else. */
export const stranger: Belief = {
  knows: () => false,
  verify: async (stored, file) =>
    verifySnapshot(stored, file, [], { codec: await loadZstdCodec() }),
};
