/** A snapshot of only a SwingStore as the target of a copy, for tests that check the copy. */
import { describeExport } from '../../src/modules/swingset/description.ts';
import { ChunkExport } from '../../src/modules/swingset/export-to-chunks.ts';
import { SWINGSET } from '../../src/modules/swingset/layout.ts';
import {
  SnapshotBuilder,
  type WriteSnapshotOptions,
  type WrittenSnapshot,
} from '../../src/snapshot/write/build.ts';
import type { SnapshotStorage } from '../../src/storage/contract.ts';
import type { ExportSink } from '../../src/swing-store-export/swing-store-export.ts';
import { stranger } from './beliefs.ts';

export async function writeSnapshot(
  storage: SnapshotStorage,
  options: WriteSnapshotOptions,
): Promise<ExportSink<WrittenSnapshot>> {
  const { belief = stranger, chunkBytes, version = 1 } = options;
  const builder = await SnapshotBuilder.start(storage, [SWINGSET], {
    ...options,
    belief,
    version,
  });
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
