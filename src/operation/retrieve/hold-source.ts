/** What `retrieve` reads: an export directory once its export is done, or the live store; locked either way. */
import { resolve } from 'node:path';
import { openExportDirectory } from '../../formats/export-directory/open.ts';
import { exportOfPinned } from '../../formats/swing-store/read/open.ts';
import { HeldDirectory } from '../../io/files/held-directory.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import type { SwingStoreExport } from '../../swing-store-export/swing-store-export.ts';
import { awaitExport } from '../export/await-export.ts';
import { lockedPathsOf, lockOperation, type OperationLock } from '../lock/lock.ts';
import { followProgress, ProgressMeter } from '../lock/progress-meter.ts';
import { refuseHeight } from '../refuse-height.ts';
import { findSource, openSource, type OpenedSource, type Trust } from '../source/open.ts';
import type { StagedCodes } from '../source/staged-codes.ts';
import type { AwaitedHeight } from '../store-view/await-height.ts';
import { watchPin, type PinBounds } from '../store-view/bounds.ts';
import { openStoreView, type StoreViewOptions } from '../store-view/open.ts';

export interface ExportDirectorySource {
  readonly exportDir: string;
  /** Whether the export directory goes once the snapshot is durable: `ours` if it carries our record. */
  readonly remove: 'ours' | 'always' | 'never';
  /** Whether an export that is still in progress is waited for. */
  readonly wait: boolean;
}

export interface LiveStoreSource extends PinBounds {
  readonly stateDir: string;
  readonly artifactMode: ArtifactMode;
  /** The height to wait for. */
  readonly awaited?: AwaitedHeight | undefined;
  /** Milliseconds to wait for it at most. */
  readonly timeout?: number | undefined;
}

/** Any readable form, which is left as it is. */
export interface OtherSource extends Trust {
  readonly from: string;
}

export type RetrieveSource = ExportDirectorySource | LiveStoreSource | OtherSource;

export interface SourceContext extends Pick<StoreViewOptions, 'height' | 'progress' | 'signal'> {
  /** Takes the byte code of a state-sync snapshot. */
  readonly codes?: StagedCodes | undefined;
  readonly pool?: WorkerPool | undefined;
}

/** A source that is open and locked. */
export interface HeldSource {
  readonly source: OpenedSource;
  readonly progress: ProgressMeter;
  /** Aborted when the caller's signal is, or a bound is passed. */
  readonly signal: AbortSignal | undefined;
  /** The export directory that is read. */
  readonly directory?: HeldDirectory | undefined;
  /** Closes and unlocks it. */
  release(): Promise<void>;
}

/**
 * @throws {BusyError} `BUSY` if another operation is in progress there
 * @throws as `awaitExport`, `openExportDirectory`, `openStoreView`
 */
export async function holdSource(
  source: RetrieveSource,
  context: SourceContext,
  scratchDir: string,
): Promise<HeldSource> {
  const progress = new ProgressMeter(context.progress);
  const metered = { ...context, progress };
  if ('from' in source) return holdOther(source, metered, scratchDir);
  return 'stateDir' in source
    ? holdStore(source, metered, scratchDir)
    : holdExportDirectory(source, metered);
}

async function holdOther(
  { from, appHash, memStores }: OtherSource,
  { height, progress, signal, pool, codes }: MeteredContext,
  scratchDir: string,
): Promise<HeldSource> {
  const { note } = progress;
  const codec = await loadZstdCodec();
  const trust = { appHash, memStores, needsExportData: true };
  const taking = { onCode: codes?.take, onCodesEnd: codes?.end };
  const options = { codec, pool, scratchDir, note, signal, ...trust, ...taking };
  const source = await openSource(findSource(from), options);
  try {
    refuseHeight(source, height);
    return { source, progress, signal, release: async () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}

type MeteredContext = SourceContext & { readonly progress: ProgressMeter };

async function holdExportDirectory(
  source: ExportDirectorySource,
  { height, progress, signal, pool }: MeteredContext,
): Promise<HeldSource> {
  const exportDir = resolve(source.exportDir);
  await awaitExport(exportDir, { wait: source.wait, progress, signal });
  const lock = lockOperation([exportDir], { operation: 'retrieve', exportDir });
  return releasing(lock, async () => {
    const isThere = statIfThere(exportDir)?.isDirectory() === true;
    const directory = isThere ? HeldDirectory.openLinked(exportDir) : undefined;
    try {
      const opened = await openExportDirectory(directory?.path ?? exportDir, pool);
      refuseHeight(opened, height);
      lock.update({ height: opened.height });
      const end = (): void => {
        directory?.close();
      };
      return { ...held(opened, progress, signal, lock, end), directory };
    } catch (error) {
      directory?.close();
      throw error;
    }
  });
}

async function holdStore(
  source: LiveStoreSource,
  context: MeteredContext,
  scratchDir: string,
): Promise<HeldSource> {
  const stateDir = resolve(source.stateDir);
  const lock = lockOperation(lockedPathsOf(stateDir), { operation: 'retrieve', stateDir });
  return releasing(lock, async () => {
    const store = await openStoreView(
      { ...context, ...source, stateDir },
      scratchDir,
      (awaitedHeight) => {
        lock.update({ awaitedHeight });
      },
    );
    // As many threads again check and pack what they read.
    await store.startReaders(context.pool?.concurrency ?? 0);
    lock.update({ height: store.height });
    const lookout = watchPin(store, source, context.signal);
    const opened = exportOfPinned(store, source.artifactMode, context.pool);
    return held(opened, context.progress, lookout.signal, lock, () => {
      lookout.end();
    });
  });
}

async function releasing(
  lock: OperationLock,
  open: () => Promise<HeldSource>,
): Promise<HeldSource> {
  try {
    return await open();
  } catch (error) {
    lock.release();
    throw error;
  }
}

function held(
  source: SwingStoreExport,
  progress: ProgressMeter,
  signal: AbortSignal | undefined,
  lock: OperationLock,
  end: () => void = () => undefined,
): HeldSource {
  const stopTelling = followProgress(progress, (now) => {
    lock.update({ progress: now });
  });
  return {
    source,
    progress,
    signal,
    release: async () => {
      stopTelling();
      end();
      await source.close();
      lock.release();
    },
  };
}
