/**
 * Finishes a `retrieve` that was killed while it removed its export directory. The snapshot exists and is complete, the
 * rest of the export names it, and only the removal remains.
 */
import { existsSync } from 'node:fs';
import { NotFoundError, VerificationError } from '../../errors.ts';
import {
  discardedManifest,
  removeHeldExport,
  type Removal,
} from '../../formats/export-directory/remove.ts';
import { HeldDirectory } from '../../io/files/held-directory.ts';
import type { Progress } from '../../io/progress.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { Belief } from '../../snapshot/belief.ts';
import { snapshotName } from '../../snapshot/layout.ts';
import { readManifestFile, type ManifestFile } from '../../snapshot/manifest.ts';
import { hashChunks } from '../../snapshot/read/quick-verify.ts';
import type { SnapshotStorage, StoredSnapshot } from '../../storage/contract.ts';
import { withLock } from '../lock/with-lock.ts';

export interface FinishOptions {
  readonly belief: Belief;
  readonly codec: ZstdCodec;
  readonly pool?: WorkerPool;
  readonly progress?: Progress;
  /** The height that the caller requests. */
  readonly height?: number | undefined;
}

export interface FinishedRetrieve {
  readonly file: ManifestFile;
  readonly removal: Removal;
}

/**
 * @returns undefined if no such removal was begun in `exportDir`, or `storage` has no snapshot of that export
 * @throws {BusyError} `BUSY` if another operation is removing it
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if that snapshot fails verification; nothing is removed then
 */
export async function finishRetrieve(
  exportDir: string,
  storage: SnapshotStorage,
  options: FinishOptions,
): Promise<FinishedRetrieve | undefined> {
  if ((await discardedManifest(exportDir)) === undefined) return undefined;
  return withLock([exportDir], { operation: 'retrieve', exportDir }, async () => {
    if (!existsSync(exportDir)) return undefined;
    const directory = HeldDirectory.openLinked(exportDir);
    try {
      return await finishIn(directory, storage, options);
    } finally {
      directory.close();
    }
  });
}

async function finishIn(
  directory: HeldDirectory,
  storage: SnapshotStorage,
  options: FinishOptions,
): Promise<FinishedRetrieve | undefined> {
  const discarded = await discardedManifest(directory.path);
  if (discarded === undefined) return undefined;
  const { blockHeight } = discarded;
  if (options.height !== undefined && options.height !== blockHeight) return undefined;
  const stored = await openIn(storage, blockHeight);
  if (stored === undefined) return undefined;
  const file = await readManifestFile(stored);
  const { artifactMode, artifacts } = file.manifest.modules.swingset;
  const isOfThis =
    artifactMode === discarded.artifactMode && artifacts.count === discarded.artifacts.length;
  if (!isOfThis) return undefined;
  await refuseUnproved(stored, file, options);
  return { file, removal: await removeHeldExport(directory) };
}

async function openIn(
  storage: SnapshotStorage,
  height: number,
): Promise<StoredSnapshot | undefined> {
  try {
    return await storage.open(snapshotName(height));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** The rest of the export can no longer make the snapshot again, so the snapshot must exist and be proved. */
async function refuseUnproved(
  stored: StoredSnapshot,
  file: ManifestFile,
  { belief, codec, pool, progress }: FinishOptions,
): Promise<void> {
  try {
    if (!belief.knows(file)) await belief.verify(stored, file);
    await hashChunks(stored, file.manifest, codec, { pool, progress });
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    const { code, message, path, expected, found } = error;
    throw new VerificationError(code, message, {
      path,
      expected,
      found,
      hint: 'export again, into another directory; what is left of this export is kept',
      cause: error,
    });
  }
}
