/** What stands already where a snapshot is to be. */
import { NotFoundError, SwingSnapError, VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StoredSnapshot } from '../../storage/contract.ts';
import type { Belief } from '../belief.ts';
import {
  damaged,
  ENTRIES_FILE,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  snapshotName,
} from '../layout.ts';
import { readManifestFile, type ManifestFile, type SnapshotManifest } from '../manifest.ts';
import { hashChunks } from '../read/quick-verify.ts';

export interface ExistingOptions {
  readonly replace: boolean;
  readonly codec: ZstdCodec;
  readonly pool?: WorkerPool | undefined;
  /** Without it, only a snapshot of the very same bytes is the same. */
  readonly belief?: Belief | undefined;
}

/**
 * The snapshot of the same height that is there already, if it is proved to be the same and its chunks are whole.
 * @param made the manifest of the one that was just made, and its bytes
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if it is another and may not be replaced; as a {@link VerificationError} if
 *   it says that it is the same, and is not
 */
export async function existingSnapshot(
  storage: SnapshotStorage,
  made: { readonly manifest: SnapshotManifest; readonly encoded: Uint8Array },
  options: ExistingOptions,
): Promise<ManifestFile | undefined> {
  const { height, contentHash } = made.manifest;
  const there = await storage.open(snapshotName(height)).catch((error: unknown) => {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  });
  if (there === undefined) return undefined;
  if (!(await isSnapshot(there))) throw notASnapshot(there.location);
  const path = there.location;
  let old: ManifestFile;
  try {
    old = await readManifestFile(there);
    if (old.manifest.contentHash === contentHash) {
      // The chunks of the very list that was just made need no other proof than their hashes.
      if (old.sha256 !== sha256Hex(made.encoded)) await refuseUnproved(there, old, options.belief);
      await hashChunks(there, old.manifest, options.codec, { pool: options.pool });
      return old;
    }
  } catch (error) {
    if (!(error instanceof VerificationError || error instanceof NotFoundError)) throw error;
    if (options.replace) return undefined;
    throw new VerificationError('SNAPSHOT_EXISTS', 'a damaged snapshot of this height is there', {
      path,
      expected: contentHash,
      found: `a damaged snapshot (${error.message})`,
      hint: 'see what swingsnap verify says of it, then use --replace to put the new one in its place',
      cause: error,
    });
  }
  if (options.replace) return undefined;
  throw new SwingSnapError('SNAPSHOT_EXISTS', 'another snapshot of this height is there already', {
    path,
    expected: contentHash,
    found: old.manifest.contentHash,
    hint: 'compare the two, then use --replace to put the new one in its place',
  });
}

/** @throws {VerificationError} if it is not known to be what it says, and is not */
async function refuseUnproved(
  there: StoredSnapshot,
  old: ManifestFile,
  belief: Belief | undefined,
): Promise<void> {
  if (belief === undefined) {
    return damaged('its manifest is another, and it was not verified', { path: there.location });
  }
  if (!belief.knows(old)) await belief.verify(there, old);
}

/** Whether it is a snapshot, be it a damaged one: what has neither a manifest nor a list of entries is not ours. */
export async function isSnapshot(there: StoredSnapshot): Promise<boolean> {
  const has = async (file: string, maxBytes: number): Promise<boolean> =>
    there.read(file, maxBytes).then(
      () => true,
      (error: unknown) => !(error instanceof NotFoundError),
    );
  // Nothing of the list is read, since it is longer than no bytes: it is only looked for.
  return (await has(MANIFEST_FILE, MAX_MANIFEST_BYTES)) || has(ENTRIES_FILE, 0);
}

function notASnapshot(path: string): SwingSnapError {
  return new SwingSnapError(
    'SNAPSHOT_EXISTS',
    'something else stands where the snapshot should be',
    {
      path,
      expected: 'nothing, or a snapshot',
      found: `neither ${MANIFEST_FILE} nor ${ENTRIES_FILE} in it`,
      hint: 'look at it, and move or remove it by hand',
    },
  );
}
