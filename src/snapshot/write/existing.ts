/** Checks what already exists where a snapshot will be published. */
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
import {
  encodeSnapshotManifest,
  readManifestFile,
  type ManifestFile,
  type SnapshotManifest,
} from '../manifest.ts';
import { hashChunks } from '../read/quick-verify.ts';

export interface ExistingOptions {
  readonly replace: boolean;
  readonly codec: ZstdCodec;
  readonly pool?: WorkerPool | undefined;
  /** Without it, only a snapshot with the same manifest, apart from `made`, counts as the same. */
  readonly belief?: Belief | undefined;
}

/**
 * The existing snapshot of the same height, if it is proved to be the same and its chunks are whole.
 * @param made the manifest of the new snapshot
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if the existing one differs and may not be replaced; as a
 *   {@link VerificationError} if it claims to be the same but is not
 */
export async function existingSnapshot(
  storage: SnapshotStorage,
  made: SnapshotManifest,
  options: ExistingOptions,
): Promise<ManifestFile | undefined> {
  const { height, contentHash } = made;
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
      // With the same list as the new snapshot, the hashes of the chunks are proof enough.
      if (!isSame(old, made)) await refuseUnproved(there, old, options.belief);
      await hashChunks(there, old.manifest, options.codec, { pool: options.pool });
      return old;
    }
  } catch (error) {
    if (!(error instanceof VerificationError || error instanceof NotFoundError)) throw error;
    if (options.replace) return undefined;
    throw damagedExists(path, contentHash, error.message, error);
  }
  if (options.replace) return undefined;
  throw otherExists(path, contentHash, old.manifest.contentHash);
}

/** The error for a snapshot that is in the way. */
export function otherExists(path: string, contentHash: string, found: string): SwingSnapError {
  return new SwingSnapError('SNAPSHOT_EXISTS', 'a different snapshot of this height exists', {
    path,
    expected: contentHash,
    found,
    hint: 'compare the two, then replace the existing one with --replace',
  });
}

/** The error for a snapshot that is in the way, and may be the same. */
export function damagedExists(
  path: string,
  contentHash: string,
  reason: string,
  cause?: unknown,
): VerificationError {
  return new VerificationError('SNAPSHOT_EXISTS', 'a damaged snapshot of this height exists', {
    path,
    expected: contentHash,
    found: `a damaged snapshot (${reason})`,
    hint: 'check it with swingsnap verify, then replace it with --replace',
    cause,
  });
}

/** Whether two manifests have the same bytes but for how, when and by which version their snapshots were made. */
function isSame({ manifest, sha256 }: ManifestFile, made: SnapshotManifest): boolean {
  return sha256Hex(encodeSnapshotManifest({ ...made, made: manifest.made })) === sha256;
}

/** @throws {VerificationError} if the snapshot is neither known to be true nor proved now */
async function refuseUnproved(
  there: StoredSnapshot,
  old: ManifestFile,
  belief: Belief | undefined,
): Promise<void> {
  if (belief === undefined) {
    return damaged('its manifest differs, and it was not verified', { path: there.location });
  }
  if (!belief.knows(old)) await belief.verify(there, old);
}

/** Whether it is a snapshot, even a damaged one: without a manifest and a list of entries, it is not ours. */
export async function isSnapshot(there: StoredSnapshot): Promise<boolean> {
  const has = async (file: string, maxBytes: number): Promise<boolean> =>
    there.read(file, maxBytes).then(
      () => true,
      (error: unknown) => !(error instanceof NotFoundError),
    );
  // Tests only that the list exists: it is longer than the limit of 0 bytes, so none of it is read.
  return (await has(MANIFEST_FILE, MAX_MANIFEST_BYTES)) || has(ENTRIES_FILE, 0);
}

/** The error for something else in the place of a snapshot. */
export function notASnapshot(path: string): SwingSnapError {
  return new SwingSnapError('SNAPSHOT_EXISTS', 'the path of the snapshot holds something else', {
    path,
    expected: 'nothing, or a snapshot',
    found: `neither ${MANIFEST_FILE} nor ${ENTRIES_FILE} in it`,
    hint: 'check it, then move or remove it by hand',
  });
}
