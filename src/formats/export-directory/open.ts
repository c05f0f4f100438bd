/** An export directory, ours or the node's own, as an export. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { VerificationError } from '../../errors.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { readExportData } from '../../swing-store-export/export-data.ts';
import type {
  ExportArtifact,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { MANIFEST_FILE, resolveInside } from './layout.ts';
import { readExportManifest, type ExportManifest } from './manifest.ts';

const READ_PIECE_BYTES = 1024 * 1024;

/**
 * Opens an export directory.
 * @throws as `readExportManifest`; {@link VerificationError} `NO_EXPORT_DATA` if it holds artifacts only, which
 *   nothing could validate; `MANIFEST` if it has artifacts and is of mode `none`
 */
export async function openExportDirectory(exportDir: string): Promise<SwingStoreExport> {
  const manifest = await readExportManifest(exportDir);
  if (manifest.data === undefined) {
    throw new VerificationError('NO_EXPORT_DATA', 'the export has no export data', {
      path: exportDir,
      hint: 'make it again with --export-data-mode all',
    });
  }
  if (manifest.artifactMode === 'none' && manifest.artifacts.length > 0) {
    throw new VerificationError('MANIFEST', 'the export manifest contradicts itself', {
      path: join(exportDir, MANIFEST_FILE),
      expected: 'no artifacts, as its artifactMode says',
      found: `${String(manifest.artifacts.length)} artifacts`,
    });
  }
  const dataPath = resolveInside(exportDir, manifest.data);
  const { size } = await stat(dataPath).catch((cause: unknown) => {
    throw fileMissing(dataPath, cause);
  });
  return new ExportDirectory(exportDir, manifest, dataPath, size);
}

class ExportDirectory implements SwingStoreExport {
  readonly #manifest: ExportManifest;
  readonly #dataPath: string;
  readonly location: string;
  readonly #dataSize: number;

  constructor(exportDir: string, manifest: ExportManifest, dataPath: string, dataSize: number) {
    this.location = exportDir;
    this.#manifest = manifest;
    this.#dataPath = dataPath;
    this.#dataSize = dataSize;
  }

  get height(): number {
    return this.#manifest.blockHeight;
  }

  get artifactMode(): ArtifactMode | undefined {
    return this.#manifest.artifactMode;
  }

  estimate(part: 'export data' | 'artifacts'): ProgressTotal {
    return part === 'export data'
      ? { bytes: this.#dataSize, unit: 'entries' }
      : { items: this.#manifest.artifacts.length, unit: 'artifacts' };
  }

  exportData({ scratchDir }: { scratchDir?: string } = {}): AsyncIterable<Uint8Array> {
    return readExportData(readFileInPieces(this.#dataPath), this.#dataPath, scratchDir);
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    for (const [name, file] of this.#manifest.artifacts) {
      const path = resolveInside(this.location, file);
      yield { name, data: () => readFileInPieces(path) };
    }
  }

  async close(): Promise<void> {
    // Nothing stays open between two reads.
  }
}

async function* readFileInPieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, {
      highWaterMark: READ_PIECE_BYTES,
    }) as AsyncIterable<Buffer>;
  } catch (cause) {
    throw fileMissing(path, cause);
  }
}

function fileMissing(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'EISDIR') {
    return new VerificationError('MISSING_FILE', 'a directory stands where the export has a file', {
      path,
      cause,
    });
  }
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return cause;
  return new VerificationError('MISSING_FILE', 'a file that the export manifest names is missing', {
    path,
    hint: 'the export is damaged: make it again',
    cause,
  });
}
