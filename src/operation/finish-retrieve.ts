/**
 * The end of a `retrieve` that was killed while it removed its export directory: the snapshot is there and whole, the
 * rest of the export names it, and nothing but the removal is left to be done.
 */
import { existsSync } from 'node:fs';
import { NotFoundError } from '../errors.ts';
import {
  discardedManifest,
  removeHeldExport,
  type Removal,
} from '../formats/export-directory/remove.ts';
import { HeldDirectory } from '../io/held-directory.ts';
import { snapshotName } from '../formats/snapshot/layout.ts';
import { readSnapshotManifest, type SnapshotManifest } from '../formats/snapshot/manifest.ts';
import type { SnapshotStorage } from '../storage/contract.ts';
import { lockOperation } from './operation-lock.ts';

export interface FinishedRetrieve {
  readonly manifest: SnapshotManifest;
  readonly removal: Removal;
}

/**
 * @param height the height that the caller asks for
 * @returns undefined if no such removal was begun in `exportDir`, or `storage` has no snapshot of what it was
 * @throws {BusyError} `BUSY` if somebody is removing it
 */
export async function finishRetrieve(
  exportDir: string,
  storage: SnapshotStorage,
  height?: number,
): Promise<FinishedRetrieve | undefined> {
  if ((await discardedManifest(exportDir)) === undefined) return undefined;
  const lock = lockOperation([exportDir], { operation: 'retrieve', exportDir });
  let directory: HeldDirectory | undefined;
  try {
    if (!existsSync(exportDir)) return undefined;
    directory = HeldDirectory.openLinked(exportDir);
    const discarded = await discardedManifest(directory.path);
    if (discarded === undefined) return undefined;
    if (height !== undefined && height !== discarded.blockHeight) return undefined;
    const manifest = await manifestIn(storage, discarded.blockHeight);
    const { artifactMode, artifacts } = manifest?.modules.swingset ?? {};
    const isOfThis =
      artifactMode === discarded.artifactMode && artifacts?.count === discarded.artifacts.length;
    if (manifest === undefined || !isOfThis) return undefined;
    return { manifest, removal: await removeHeldExport(directory) };
  } finally {
    directory?.close();
    lock.release();
  }
}

async function manifestIn(
  storage: SnapshotStorage,
  height: number,
): Promise<SnapshotManifest | undefined> {
  try {
    return await readSnapshotManifest(await storage.open(snapshotName(height)));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
