/** Tells a snapshot that was removed while it was read from a damaged one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NotFoundError, VerificationError } from '../errors.ts';
import type { StoredSnapshot } from '../storage/contract.ts';
import { MANIFEST_FILE, MAX_MANIFEST_BYTES } from './layout.ts';

/** `rm -rf` removes files in any order: the manifest may remain for a moment. Milliseconds. */
const LOOKS = [0, 100, 400] as const;

/**
 * Call this when a promised file is missing.
 * @throws {NotFoundError} `SNAPSHOT_GONE` if the manifest, which was read before, is missing too
 */
export async function refuseGone(
  snapshot: Pick<StoredSnapshot, 'location' | 'read'>,
  cause: unknown,
): Promise<void> {
  for (const milliseconds of LOOKS) {
    await sleep(milliseconds);
    try {
      await snapshot.read(MANIFEST_FILE, MAX_MANIFEST_BYTES);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      throw new NotFoundError('SNAPSHOT_GONE', 'the snapshot was removed while it was read', {
        path: snapshot.location,
        hint: 'use another snapshot, and keep more snapshots with --keep-last',
        cause,
      });
    }
  }
}

/**
 * Whether an error is the fault of the snapshot that was read: it is wrong, gone, or unreadable. A foreign snapshot
 * beside ours must not make an operation on ours fail.
 */
export function isFaultOfStored(error: unknown): error is Error {
  if (error instanceof VerificationError || error instanceof NotFoundError) return true;
  return error instanceof Error && 'syscall' in error;
}
