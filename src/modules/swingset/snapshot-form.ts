/** A snapshot as a form of an export, for readers that need only the SwingStore. */
import { ChunkReader } from '../../snapshot/read/chunk-reader.ts';
import { OpenedSnapshot, type OpenSnapshotOptions } from '../../snapshot/read/opened-snapshot.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import type { SwingStoreExport } from '../../swing-store-export/swing-store-export.ts';
import { EntriesExport } from './export-of-chunks.ts';
import { SWINGSET } from './layout.ts';

/**
 * The SwingStore of a snapshot. Checks everything as it is read. `promised` holds the manifest's hashes, to be compared
 * with what was read. Other modules are not read. Closing it closes the snapshot.
 */
export function exportOfSnapshot(snapshot: OpenedSnapshot): SwingStoreExport {
  const { stored, manifest, pool } = snapshot;
  const isAlone = Object.keys(manifest.modules).length === 1;
  let reader: ChunkReader | undefined;
  return new EntriesExport({
    location: stored.location,
    height: manifest.height,
    fields: manifest.modules.swingset,
    contentHash: isAlone ? manifest.contentHash : undefined,
    chunks: () => {
      reader = new ChunkReader(snapshot);
      return reader.chunks(SWINGSET);
    },
    settle: async () => reader?.settle(),
    pool,
    close: async () => snapshot.close(),
  });
}

/** Opens a stored snapshot as an export of its SwingStore. Throws as `readManifestFile`. */
export async function openSnapshot(
  stored: StoredSnapshot,
  options: OpenSnapshotOptions,
): Promise<SwingStoreExport> {
  return exportOfSnapshot(await OpenedSnapshot.open(stored, options));
}
