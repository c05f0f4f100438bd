/** The work of `export`: writes a live store into an export directory. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { MANIFEST_FILE, RECORD_FILE, STOP_FILE } from '../../formats/export-directory/layout.ts';
import { removeHeldExport } from '../../formats/export-directory/remove.ts';
import { writeExportDirectory } from '../../formats/export-directory/write.ts';
import { databasePath } from '../../formats/swing-store/layout.ts';
import { exportOfPinned } from '../../formats/swing-store/read/open.ts';
import type { PinnedStore } from '../../formats/swing-store/read/pinned-store.ts';
import { warmUpReaders } from '../../formats/swing-store/read/store-readers.ts';
import { refuseNoSpace } from '../../io/disks/free-space.ts';
import type { HeldDirectory } from '../../io/files/held-directory.ts';
import { noProgress } from '../../io/progress.ts';
import { defaultConcurrency } from '../../io/threads/concurrency.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { copyUnverified } from '../../swing-store-export/copy-unverified.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import { lockedPathsOf, lockOperation, type OperationLock } from '../lock/lock.ts';
import type { ProgressMeter } from '../lock/progress-meter.ts';
import { RecordKeeper } from '../lock/record-keeper.ts';
import { reportOf } from '../lock/record.ts';
import { withLock } from '../lock/with-lock.ts';
import type { OperationOptions } from '../options.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { watchPin, type PinBounds } from '../store-view/bounds.ts';
import { openStoreView, type StoreViewOptions } from '../store-view/open.ts';
import {
  checkTarget,
  inExportDirectory,
  lookOutForDiscard,
  refuseInside,
} from './export-target.ts';

/** What to export, as data that can be sent to another process. */
export interface ExportRequest
  extends
    PinBounds,
    Omit<StoreViewOptions, 'progress' | 'signal'>,
    Pick<OperationOptions, 'scratchDir' | 'concurrency'> {
  readonly exportDir: string;
  /** By default `operational`. */
  readonly artifactMode?: ArtifactMode | undefined;
  /** Whether to write the export data, or artifacts only; `all` by default. */
  readonly exportDataMode?: 'all' | 'skip' | undefined;
  /** Whether the operation belongs to a process that outlives the command. The record then stays after a failure. */
  readonly detached?: boolean | undefined;
}

export interface ExportOptions extends ExportRequest, OperationOptions {
  /** Called with the height once the view is pinned and the record says so. From then on the node may commit. */
  readonly onStarted?: ((height: number) => void) | undefined;
  /** Called when a discard or a bound stops it; what it waits for then may never come. */
  readonly onStop?: (() => void) | undefined;
  /** Whether the command still listens, and so reports a failure before the start. If not, a record stays behind. */
  readonly isHeard?: (() => boolean) | undefined;
}

/** Checks whether {@link exportStore} could start, without making anything. Throws the same errors. */
export async function checkExport(options: ExportOptions): Promise<Check[]> {
  const { progress = noProgress } = options;
  const [exportDir, stateDir] = [resolve(options.exportDir), resolve(options.stateDir)];
  refuseInside(exportDir, stateDir, 'state dir');
  const scratchDir = chooseScratchDir(options.scratchDir, exportDir);
  lockOperation(lockedPathsOf(stateDir), { operation: 'export', stateDir, exportDir }).release();
  const writable = await checkTarget(exportDir);
  const store = await openStoreView({ ...options, awaited: undefined, progress }, scratchDir);
  try {
    const needed = refuseNoRoom(store, { ...options, exportDir });
    return [
      { check: `SwingStore can be read at height ${store.height}`, path: databasePath(stateDir) },
      { ...writable, needed },
      checkWritable(scratchDir, 'scratch dir'),
    ];
  } finally {
    await store.close();
  }
}

/**
 * Exports one commit of the store into `exportDir`: what the reference's `export-kernel-db` writes, and our record.
 * @throws {UsageError} `EXPORT_DIR` if that is in the state dir; {@link SwingSnapError} if it is not empty
 * @throws {BusyError} `BUSY` if an operation on the store or the directory is in progress
 * @throws as `PinnedStore.open`, `awaitHeight` and `watchPin`; after any failure, the export directory is as it was
 */
export async function exportStore(options: ExportOptions): Promise<ExportSummary> {
  const [exportDir, stateDir] = [resolve(options.exportDir), resolve(options.stateDir)];
  refuseInside(exportDir, stateDir, 'state dir');
  const scratchDir = chooseScratchDir(options.scratchDir, exportDir);
  return withLock(
    lockedPathsOf(stateDir),
    { operation: 'export', stateDir, exportDir },
    async (lock, progress) =>
      inExportDirectory(exportDir, { stateDir }, async (dirLock, directory) =>
        withWorkerPool(concurrencyOf(options), async (pool) => {
          if (options.awaited === undefined) warmUpReaders(pool, stateDir);
          const working = { ...options, exportDir, stateDir, progress, directory, pool };
          return exportLocked(working, scratchDir, [lock, dirLock]);
        }),
      ),
    options.progress,
  );
}

/** Includes the export directory, held open. */
type HeldOptions = ExportOptions & {
  readonly directory: HeldDirectory;
  readonly pool: WorkerPool;
  readonly progress: ProgressMeter;
};

async function exportLocked(
  options: HeldOptions,
  scratchDir: string,
  locks: readonly [OperationLock, OperationLock],
): Promise<ExportSummary> {
  const { exportDir, directory, stateDir, progress, detached = false } = options;
  const { artifactMode = 'operational', exportDataMode = 'all' } = options;
  const keeper = new RecordKeeper(
    {
      format: 'swingsnap-operation',
      version: 1,
      state: 'waiting',
      stateDir,
      exportDir,
      detached,
      artifactMode,
      exportDataMode,
      pid: process.pid,
      host: hostname(),
      startedAt: new Date().toISOString(),
    },
    locks[1],
    directory.path,
  );
  const tell = (facts: Parameters<OperationLock['update']>[0]): void => {
    for (const lock of locks) lock.update(facts);
  };
  const lookout = lookOutForDiscard(directory, options.signal);
  const { signal } = lookout;
  if (options.onStop !== undefined) signal.addEventListener('abort', options.onStop);
  let started = false;
  let store: PinnedStore | undefined;
  try {
    if (options.awaited !== undefined) await keeper.write({});
    store = await openStoreView({ ...options, signal }, scratchDir, (awaitedHeight) => {
      tell({ awaitedHeight });
      // If this fails, so does the next write, which reports the error.
      keeper.write({ awaitedHeight }).catch(() => undefined);
    });
    const { height } = store;
    await store.startReaders(options.pool);
    await keeper.write({ state: 'started', height });
    started = true;
    tell({ height });
    options.onStarted?.(height);
    keeper.follow(progress);
    const summary = await copyPinned(store, options, signal);
    lookout.throwIfDue();
    await keeper.stopFollowing();
    const endedAt = new Date().toISOString();
    await keeper.write({
      state: 'done',
      endedAt,
      files: summary.artifacts.count,
      progress: progress.atEnd,
    });
    return summary;
  } catch (error) {
    await keeper.stopFollowing();
    const failure = { error: reportOf(error), endedAt: new Date().toISOString() };
    try {
      await rm(directory.at(STOP_FILE), { force: true });
      // The export is complete, but it was discarded or its record could not be written: it must not pass for done.
      if (existsSync(directory.at(MANIFEST_FILE))) {
        await removeHeldExport(directory, { keepDirectory: true });
      }
      const tells = detached && (started || options.isHeard?.() === false);
      if (tells) await keeper.write({ state: 'failed', ...failure });
      else await rm(directory.at(RECORD_FILE), { force: true });
    } catch {
      // If even this cannot be written, the free lock shows that the operation is dead. The first error is reported.
    }
    throw error;
  } finally {
    lookout.end();
    await store?.close();
  }
}

async function copyPinned(
  store: PinnedStore,
  options: HeldOptions,
  operationSignal: AbortSignal,
): Promise<ExportSummary> {
  const { directory, progress, pool, artifactMode = 'operational' } = options;
  const withExportData = options.exportDataMode !== 'skip';
  const lookout = watchPin(store, options, operationSignal);
  try {
    const { signal } = lookout;
    if (options.onStop !== undefined) signal.addEventListener('abort', options.onStop);
    const header = { height: store.height, artifactMode, withExportData };
    refuseNoRoom(store, options);
    const sink = await writeExportDirectory(directory.path, header, pool);
    const source = exportOfPinned(store, artifactMode, true);
    const copyOptions = { progress, signal, pool, withExportData };
    return await copyUnverified(source, sink, artifactMode, copyOptions);
  } finally {
    lookout.end();
  }
}

/** The node keeps half of the processors. */
function concurrencyOf({ concurrency }: Pick<ExportRequest, 'concurrency'>): number {
  return concurrency ?? defaultConcurrency('half');
}

/** @returns the bytes that the export is known to need */
function refuseNoRoom(
  store: PinnedStore,
  { exportDir, artifactMode = 'operational' }: Pick<ExportRequest, 'exportDir' | 'artifactMode'>,
): number {
  const bytes = heapBytes(store, artifactMode);
  refuseNoSpace(exportDir, bytes, 'the export', '--export-dir');
  return bytes;
}

/** Bytes of the unpacked heap snapshots: most of an export, and known without reading it. */
function heapBytes({ db }: PinnedStore, artifactMode: ArtifactMode): number {
  if (artifactMode === 'none') return 0;
  const sql = 'SELECT coalesce(sum(uncompressedSize), 0) FROM snapshots WHERE inUse = 1';
  return Number(db.prepare(sql).pluck().get());
}
