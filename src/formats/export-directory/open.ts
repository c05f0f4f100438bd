/** Opens an export directory, made by swingsnap or by a node, as an export. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NotFoundError, VerificationError } from '../../errors.ts';
import { withShownPaths } from '../../io/files/descriptor-names.ts';
import { SourceFile } from '../../io/files/source-file.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { recipeFor } from '../../io/threads/recipe.ts';
import { workerTask } from '../../io/threads/task.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { readExportData } from '../../swing-store-export/export-data/export-data.ts';
import {
  WHOLE_MAX_BYTES,
  type ExportArtifact,
  type SwingStoreExport,
  type WholeContent,
} from '../../swing-store-export/swing-store-export.ts';
import { visitOfOne } from '../../swing-store-export/visits.ts';
import { MANIFEST_FILE, resolveInside } from './layout.ts';
import { readExportManifest, type ExportManifest } from './manifest.ts';

const READ_PIECE_BYTES = 1024 * 1024;

/**
 * Opens an export directory.
 * @param pool checks export data; defaults to the calling thread
 * @throws what `readExportManifest` throws; {@link VerificationError} `NO_EXPORT_DATA` if it lacks export data, since
 *   nothing could validate its artifacts; `MANIFEST` if it has artifacts but its mode is `none`
 */
export async function openExportDirectory(
  exportDir: string,
  pool: WorkerPool = inlinePool,
): Promise<SwingStoreExport> {
  const manifest = await readExportManifest(exportDir);
  if (manifest.data === undefined) {
    throw new VerificationError('NO_EXPORT_DATA', 'the export has no export data', {
      path: exportDir,
      hint: 'export again with --export-data-mode all',
    });
  }
  if (manifest.artifactMode === 'none' && manifest.artifacts.length > 0) {
    throw new VerificationError('MANIFEST', 'the export manifest contradicts itself', {
      path: join(exportDir, MANIFEST_FILE),
      expected: 'no artifacts, since its artifactMode is none',
      found: `${manifest.artifacts.length} artifacts`,
    });
  }
  const dataPath = resolveInside(exportDir, manifest.data);
  const { size } = sizeOf(dataPath);
  return new ExportDirectory(exportDir, manifest, dataPath, size, pool);
}

class ExportDirectory implements SwingStoreExport {
  readonly #dir: string;
  readonly #manifest: ExportManifest;
  readonly #dataPath: string;
  readonly location: string;
  readonly #dataSize: number;
  #artifactBytes: number | undefined;
  readonly #pool: WorkerPool;

  constructor(
    exportDir: string,
    manifest: ExportManifest,
    dataPath: string,
    dataSize: number,
    pool: WorkerPool,
  ) {
    this.#pool = pool;
    this.#dir = exportDir;
    this.location = withShownPaths(exportDir);
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
    if (part === 'export data') return { bytes: this.#dataSize, unit: 'entries' };
    const items = this.#manifest.artifacts.length;
    return { bytes: (this.#artifactBytes ??= this.#sizeOfArtifacts()), items, unit: 'artifacts' };
  }

  #sizeOfArtifacts(): number {
    const paths = this.#manifest.artifacts.map(([, file]) => resolveInside(this.#dir, file));
    return paths.reduce((bytes, path) => bytes + (statIfThere(path)?.size ?? 0), 0);
  }

  exportData({ scratchDir }: { scratchDir?: string } = {}): AsyncIterable<Uint8Array> {
    const raw = readFileInPieces(this.#dataPath);
    return readExportData(raw, this.#dataPath, { scratchDir, pool: this.#pool });
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    for (const [name, file] of this.#manifest.artifacts) {
      const path = resolveInside(this.#dir, file);
      const size = statIfThere(path)?.size;
      const data = (): AsyncIterable<Uint8Array> => readFileInPieces(path);
      const isSmall = size !== undefined && size <= WHOLE_MAX_BYTES;
      yield isSmall
        ? { name, size, data, visit: visitOfOne(async () => recipeFor(reading, { path, size })) }
        : { name, size, data };
    }
  }

  async close(): Promise<void> {
    // Nothing stays open between reads.
  }
}

/** A file that had `size` bytes when it was looked at. */
interface SizedFile {
  readonly path: string;
  readonly size: number;
}

/** @returns undefined if the file has grown */
export async function readSizedFile({ path, size }: SizedFile): Promise<WholeContent | undefined> {
  const file = openFile(path);
  try {
    return file.stats.size > size ? undefined : { bytes: await file.readWhole() };
  } finally {
    file.close();
  }
}

const reading = workerTask(import.meta.url, readSizedFile);

async function* readFileInPieces(path: string): AsyncGenerator<Uint8Array> {
  const file = openFile(path);
  try {
    yield* file.pieces(READ_PIECE_BYTES);
  } finally {
    file.close();
  }
}

function sizeOf(path: string): { size: number } {
  try {
    return statSync(path);
  } catch (cause) {
    throw fileMissing(path, cause);
  }
}

function openFile(path: string): SourceFile {
  let file: SourceFile;
  try {
    file = SourceFile.open(path);
  } catch (cause) {
    throw fileMissing(path, cause);
  }
  if (file.stats.isFile()) return file;
  file.close();
  throw new VerificationError('MISSING_FILE', 'a file of the export is not a regular file', {
    path,
    hint: 'the export is damaged: make it again',
  });
}

function fileMissing(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return cause;
  if (!existsSync(join(dirname(path), MANIFEST_FILE))) {
    return new NotFoundError('EXPORT_GONE', 'the export was removed while it was read', {
      path: dirname(path),
      hint: 'export again, or use the snapshot that was made from the export',
      cause,
    });
  }
  return new VerificationError('MISSING_FILE', 'a file that the export manifest names is missing', {
    path,
    hint: 'the export is damaged: make it again',
    cause,
  });
}
