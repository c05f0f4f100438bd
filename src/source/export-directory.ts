/** An export directory as a source: a SwingStore, and nothing else. */
import { resolveInside } from '../formats/export-directory/layout.ts';
import { readExportManifest } from '../formats/export-directory/manifest.ts';
import { statIfThere } from '../io/files/stat-if-there.ts';
import type { SwingStoreExport } from '../swing-store-export/swing-store-export.ts';
import type { ArtifactSize, Source } from './source.ts';
import { swingStoreSource } from './swing-store.ts';

/** @param exported the open export, from `openExportDirectory` */
export function exportDirectorySource(path: string, exported: SwingStoreExport): Source {
  return swingStoreSource({
    form: 'export directory',
    path,
    swingset: exported,
    artifactSizes: () => sizesBelow(path),
  });
}

async function* sizesBelow(exportDir: string): AsyncGenerator<ArtifactSize> {
  const { artifacts } = await readExportManifest(exportDir);
  for (const [name, file] of artifacts) {
    // A missing file, or a file name that is not allowed, is refused on reading.
    if (file === '') continue;
    yield { name, size: statIfThere(resolveInside(exportDir, file))?.size ?? 0 };
  }
}
