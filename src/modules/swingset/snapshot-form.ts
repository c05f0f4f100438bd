/** A snapshot as a form of an export, for whoever has to do with the SwingStore alone. */
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { readSnapshotManifest, type SnapshotManifest } from '../../snapshot/manifest.ts';
import { ChunkReader } from '../../snapshot/read/chunk-reader.ts';
import {
  SnapshotBuilder,
  type WriteSnapshotOptions,
  type WrittenSnapshot,
} from '../../snapshot/write/build.ts';
import type { SnapshotStorage, StoredSnapshot } from '../../storage/contract.ts';
import type { ExportSink, SwingStoreExport } from '../../swing-store-export/swing-store-export.ts';
import { ChunkExport } from './chunk-export.ts';
import { describeExport } from './description.ts';
import { EntriesExport } from './entries-export.ts';
import { SWINGSET } from './layout.ts';
import { verifySnapshot } from './verify-snapshot.ts';

/**
 * Opens a stored snapshot. Everything that is read from it is checked on the way; `promised` is what its manifest
 * says, for the reader of the whole to hold against what it got. Other modules in it are left.
 * @param pool unpacks chunks; by default this thread does
 * @throws as `readSnapshotManifest`
 */
export async function openSnapshot(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  pool: WorkerPool = inlinePool,
): Promise<SwingStoreExport & { readonly manifest: SnapshotManifest }> {
  const manifest = await readSnapshotManifest(snapshot);
  const isAlone = Object.keys(manifest.modules).length === 1;
  let reader: ChunkReader | undefined;
  const opened = new EntriesExport({
    location: snapshot.location,
    height: manifest.height,
    fields: manifest.modules.swingset,
    contentHash: isAlone ? manifest.contentHash : undefined,
    chunks: () => {
      reader = new ChunkReader(snapshot, manifest, codec, pool);
      return reader.chunks(SWINGSET);
    },
    settle: async () => reader?.settle(),
    pool,
  });
  return Object.assign(opened, { manifest });
}

/** Starts a snapshot in `storage` that holds an export and nothing else. */
export async function writeSnapshot(
  storage: SnapshotStorage,
  options: WriteSnapshotOptions,
): Promise<ExportSink<WrittenSnapshot>> {
  const belief = options.belief ?? {
    knows: () => false,
    verify: async (stored, file) => verifySnapshot(stored, file, [], options),
  };
  const builder = await SnapshotBuilder.start(storage, [SWINGSET], { ...options, belief });
  const { chunkBytes } = options;
  const chunks = new ChunkExport(async (chunk) => builder.add(SWINGSET, chunk), {
    chunkBytes,
    held: options.earlier && builder.held,
  });
  return {
    holds: (identity) => chunks.holds(identity),
    writeExportData: async (block) => chunks.writeExportData(block),
    writeArtifact: async (name, content, identity) => chunks.writeArtifact(name, content, identity),
    finish: async (summary) => {
      await chunks.finish(summary);
      return builder.finish({ [SWINGSET]: describeExport(summary) });
    },
    abort: async () => builder.abort(),
  };
}
