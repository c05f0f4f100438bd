/** An export directory, ours or the node's own, as an export. */
import { constants, existsSync, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NotFoundError, VerificationError } from '../../errors.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import { inlinePool, type WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { readExportData } from '../../swing-store-export/export-data.ts';
import {
  WHOLE_MAX_BYTES,
  type ExportArtifact,
  type SwingStoreExport,
  type WholeContent,
} from '../../swing-store-export/swing-store-export.ts';
import { MANIFEST_FILE, resolveInside } from './layout.ts';
import { readExportManifest, type ExportManifest } from './manifest.ts';

const READ_PIECE_BYTES = 1024 * 1024;

/**
 * Opens an export directory.
 * @param pool checks export data; by default this thread does
 * @throws as `readExportManifest`; {@link VerificationError} `NO_EXPORT_DATA` if it holds artifacts only, which
 *   nothing could validate; `MANIFEST` if it has artifacts and is of mode `none`
 */
export async function openExportDirectory(
  exportDir: string,
  pool: WorkerPool = inlinePool,
): Promise<SwingStoreExport> {
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
  return new ExportDirectory(exportDir, manifest, dataPath, size, pool);
}

class ExportDirectory implements SwingStoreExport {
  readonly #manifest: ExportManifest;
  readonly #dataPath: string;
  readonly location: string;
  readonly #dataSize: number;

  readonly #pool: WorkerPool;

  constructor(
    exportDir: string,
    manifest: ExportManifest,
    dataPath: string,
    dataSize: number,
    pool: WorkerPool,
  ) {
    this.#pool = pool;
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
    const raw = readFileInPieces(this.#dataPath);
    return readExportData(raw, this.#dataPath, { scratchDir, pool: this.#pool });
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    for (const [name, file] of this.#manifest.artifacts) {
      const path = resolveInside(this.location, file);
      const size = (await stat(path).catch(() => undefined))?.size;
      const isSmall = size !== undefined && size <= WHOLE_MAX_BYTES;
      yield {
        name,
        data: () => readFileInPieces(path),
        ...(isSmall && { whole: { size, load: async () => readWholeFile(path) } }),
      };
    }
  }

  async close(): Promise<void> {
    // Nothing stays open between two reads.
  }
}

/** @returns undefined if the file is larger than what is read as a whole */
async function readWholeFile(path: string): Promise<WholeContent | undefined> {
  const { file, size } = await openFile(path);
  try {
    return size > WHOLE_MAX_BYTES ? undefined : { bytes: await file.readFile() };
  } finally {
    await file.close();
  }
}

async function* readFileInPieces(path: string): AsyncGenerator<Uint8Array> {
  const { file, size } = await openFile(path);
  try {
    const pieceBytes = Math.max(1, Math.min(READ_PIECE_BYTES, size));
    for (;;) {
      // A buffer for each piece, since whoever takes them may keep them.
      const piece = Buffer.allocUnsafeSlow(pieceBytes);
      const { bytesRead } = await file.read(piece, 0, pieceBytes);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<{ file: FileHandle; size: number }> {
  // Opening a pipe would wait for somebody to write into it.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((cause: unknown) => {
    throw fileMissing(path, cause);
  });
  try {
    const { size } = await file.stat().then(onlyFiles(path));
    return { file, size };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function onlyFiles(path: string): (stats: Stats) => Stats {
  return (stats) => {
    if (stats.isFile()) return stats;
    throw new VerificationError('MISSING_FILE', 'what should be a file of the export is none', {
      path,
      hint: 'the export is damaged: make it again',
    });
  };
}

function fileMissing(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return cause;
  if (!existsSync(join(dirname(path), MANIFEST_FILE))) {
    return new NotFoundError('EXPORT_GONE', 'the export was removed while it was read', {
      path: dirname(path),
      hint: 'make it again, or use the snapshot that was made of it',
      cause,
    });
  }
  return new VerificationError('MISSING_FILE', 'a file that the export manifest names is missing', {
    path,
    hint: 'the export is damaged: make it again',
    cause,
  });
}
