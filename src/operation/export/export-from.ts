/** The work of `export --from`: any readable form becomes an export directory, as one verified copy. */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { SwingSnapError } from '../../errors.ts';
import { removeHeldExport } from '../../formats/export-directory/remove.ts';
import { writeExportDirectory } from '../../formats/export-directory/write.ts';
import type { AppHashProof } from '../../formats/state-sync/proof/app-hash.ts';
import { refuseNoSpace } from '../../io/files/free-space.ts';
import type { HeldDirectory } from '../../io/files/held-directory.ts';
import type { Progress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import { maySatisfy, type ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { copyVerified } from '../../swing-store-export/copy-export.ts';
import type {
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import type { OperationLock } from '../lock/lock.ts';
import { ProgressMeter } from '../lock/progress-meter.ts';
import { RecordKeeper } from '../lock/record-keeper.ts';
import { noteLeft } from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { refuseHeight } from '../refuse-height.ts';
import {
  findSource,
  openSource,
  type FoundSource,
  type OpenedSource,
  type Trust,
} from '../source/open.ts';
import {
  inExportDirectory,
  lookOutForDiscard,
  refuseInside,
  refuseOccupied,
} from './export-target.ts';

export interface ExportSourceOptions extends Trust {
  readonly source: string;
  /** An absolute path. */
  readonly exportDir: string;
  /** Which artifacts to take; by default those of the source. */
  readonly artifactMode?: ArtifactMode | undefined;
  /** The height that the source must be at. */
  readonly height?: number | undefined;
  readonly scratchDir?: string | undefined;
  /** Worker threads; by default one per processor. */
  readonly concurrency?: number | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

export interface ExportedSource {
  readonly form: FoundSource['form'];
  /** Path of what was exported. */
  readonly source: string;
  readonly summary: ExportSummary;
  /** Only of a state-sync snapshot. */
  readonly proof: AppHashProof | undefined;
}

/** Looks whether {@link exportSource} could start, without making anything. Throws as it does. */
export async function checkExportSource(options: ExportSourceOptions): Promise<Check[]> {
  const { source, found, scratchDir } = await prepare(options);
  await source.close();
  return [
    {
      check: `${found.form} can be read at height ${source.height}`,
      path: source.location,
    },
    checkWritable(options.exportDir, 'export directory'),
    checkWritable(scratchDir, 'scratch dir'),
  ];
}

/**
 * Writes what the source holds into `exportDir`, as the node's own tools do, proving on the way that it is whole and
 * what its records say.
 * @throws {VerificationError} if it is not; the export directory is then as it was
 * @throws {SwingSnapError} `EXPORT_DIR` if that is not empty; `HEIGHT`; `MODE` if the source holds less than is asked
 * @throws {BusyError} `BUSY` if an operation on the export directory is in progress
 */
export async function exportSource(options: ExportSourceOptions): Promise<ExportedSource> {
  return withWorkerPool(options.concurrency, async (pool) => {
    // The stores of a state-sync snapshot are read long before a copy would hear a discard.
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
    const prepared = await prepare({ ...options, signal }, pool);
    const { source, found } = prepared;
    try {
      const { progress } = options;
      const summary = await inExportDirectory(options.exportDir, {}, async (lock, directory) => {
        const lookout = lookOutForDiscard(directory, undefined);
        lookout.signal.addEventListener('abort', () => {
          stop.abort(lookout.signal.reason);
        });
        try {
          return await exportLocked({ ...options, signal }, prepared, { lock, directory, pool });
        } finally {
          lookout.end();
        }
      });
      const { count } = source.codes ?? { count: 0 };
      if (count > 0) {
        progress.note(`${count} byte codes were left: an export directory has no place for them`);
      }
      return { form: found.form, source: found.path, summary, proof: source.proof };
    } finally {
      await source.close();
    }
  });
}

interface Prepared {
  readonly source: OpenedSource;
  readonly found: FoundSource;
  readonly scratchDir: string;
}

async function prepare(options: ExportSourceOptions, pool?: WorkerPool): Promise<Prepared> {
  const { exportDir, artifactMode, progress } = options;
  const found = findSource(options.source);
  refuseInside(exportDir, resolve(found.path), 'source');
  await refuseOccupied(exportDir);
  const scratchDir = chooseScratchDir(options.scratchDir, exportDir);
  const codec = await loadZstdCodec();
  const { note } = progress;
  const opening = { ...options, codec, pool, scratchDir, note, needsExportData: true };
  const source = await openSource(found, opening);
  try {
    refuseHeight(source, options.height);
    refuseMode(source, artifactMode);
    noteLeft(source, note);
    const artifactBytes = artifactMode === 'none' ? 0 : (source.estimate('artifacts').bytes ?? 0);
    const bytes = (source.estimate('export data').bytes ?? 0) + artifactBytes;
    refuseNoSpace(exportDir, bytes, 'the export', '--export-dir');
    return { source, found, scratchDir };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function refuseMode(source: SwingStoreExport, asked: ArtifactMode | undefined): void {
  const held = source.artifactMode;
  if (asked === undefined || asked === 'none' || maySatisfy(held, asked)) return;
  throw new SwingSnapError('MODE', 'the source does not hold what the artifact mode asks for', {
    path: source.location,
    expected: asked,
    found: held,
    hint: 'leave out --artifact-mode, or name a source of that mode',
  });
}

interface Held {
  readonly lock: OperationLock;
  readonly directory: HeldDirectory;
  readonly pool: WorkerPool;
}

async function exportLocked(
  options: ExportSourceOptions,
  { source, found, scratchDir }: Prepared,
  { lock, directory, pool }: Held,
): Promise<ExportSummary> {
  const { exportDir, artifactMode } = options;
  const { height } = source;
  const progress = new ProgressMeter(options.progress);
  const keeper = new RecordKeeper(
    {
      format: 'swingsnap-operation',
      version: 1,
      state: 'started',
      source: found.path,
      exportDir,
      detached: false,
      height,
      artifactMode: artifactMode ?? source.artifactMode ?? 'operational',
      exportDataMode: 'all',
      pid: process.pid,
      host: hostname(),
      startedAt: new Date().toISOString(),
    },
    lock,
    directory.path,
  );
  lock.update({ height });
  try {
    await keeper.write({});
    keeper.follow(progress);
    const header = { height, artifactMode, withExportData: true };
    const { summary } = await copyVerified(
      source,
      async () => writeExportDirectory(directory.path, header),
      { progress, signal: options.signal, pool, scratchDir, artifactMode },
    );
    await keeper.stopFollowing();
    await keeper.write({
      state: 'done',
      artifactMode: summary.artifactMode,
      endedAt: new Date().toISOString(),
      files: summary.artifacts.count,
      progress: progress.now,
    });
    return summary;
  } catch (error) {
    await keeper.stopFollowing();
    // Where that fails, the free lock says that the operation is dead. What broke first is told.
    await removeHeldExport(directory, { keepDirectory: true }).catch(() => undefined);
    throw error;
  }
}
