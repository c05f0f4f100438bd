/** Beliefs for tests: which snapshots are proved. */
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import type { Belief } from '../../src/snapshot/belief.ts';
import { verifyStored } from '../../src/source/verify-stored.ts';

/** Knows every snapshot, as if this user had made it. */
export const ourOwn: Belief = {
  knows: () => true,
  verify: () => Promise.reject(new Error('it is known')),
};

/** Knows no snapshot, and verifies all. */
export const stranger: Belief = {
  knows: () => false,
  verify: async (stored, file) => verifyStored(stored, file, { codec: await loadZstdCodec() }),
};
