/** The sources of `retrieve`: an export directory whose export is done, the live store (locked), or any other form. */
import { resolve } from 'node:path';
import { openExportDirectory } from '../../formats/export-directory/open.ts';
import { exportOfPinned } from '../../formats/swing-store/read/open.ts';
import { warmUpReaders } from '../../formats/swing-store/read/store-readers.ts';
import { HeldDirectory } from '../../io/files/held-directory.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import type { Progress } from '../../io/progress.ts';
import { defaultConcurrency } from '../../io/threads/concurrency.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import { exportDirectorySource } from '../../source/export-directory.ts';
import type { Trust } from '../../source/open.ts';
import type { Source } from '../../source/source.ts';
import { swingStoreSource } from '../../source/swing-store.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { aboutSource } from '../about-source.ts';
import { awaitExport } from '../export/await-export.ts';
import { lockedPathsOf } from '../lock/lock.ts';
import { withLock } from '../lock/with-lock.ts';
import type { OperationOptions } from '../options.ts';
import type { AwaitedHeight } from '../store-view/await-height.ts';
import { watchPin, type PinBounds } from '../store-view/bounds.ts';
import { openStoreView } from '../store-view/open.ts';
import { openSourceAt, refuseHeight } from '../with-source.ts';

export interface ExportDirectorySource {
  readonly exportDir: string;
  /** Whether to remove the export directory once the snapshot is durable: `ours` if it has a record of swingsnap. */
  readonly remove: 'ours' | 'always' | 'never';
  /** Whether to wait for an export in progress. */
  readonly wait: boolean;
}

export interface LiveStoreSource extends PinBounds {
  readonly stateDir: string;
  readonly artifactMode: ArtifactMode;
  /** The height to wait for. */
  readonly awaited?: AwaitedHeight | undefined;
  /** Maximum wait for that height, in milliseconds. */
  readonly timeout?: number | undefined;
}

/** Any readable form. It is not changed. */
export interface OtherSource extends Trust {
  readonly from: string;
}

export type RetrieveSource = ExportDirectorySource | LiveStoreSource | OtherSource;

/** How many threads read and pack a source. Beside a live store, the node keeps half of the processors. */
export function concurrencyFor(
  source: RetrieveSource,
  { concurrency }: Pick<OperationOptions, 'concurrency'>,
): number {
  return concurrency ?? defaultConcurrency('stateDir' in source ? 'half' : 'all');
}

/** The same source without any waiting: a check reports the present state. */
export function unhurried(source: RetrieveSource): RetrieveSource {
  if ('from' in source) return source;
  return 'stateDir' in source ? { ...source, awaited: undefined } : { ...source, wait: false };
}

export interface ReadContext {
  /** The height that the source must be at. */
  readonly height?: number | undefined;
  readonly scratchDir: string;
  readonly pool: WorkerPool;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** An open source, locked where operations could collide. */
export interface HeldSource {
  readonly source: Source;
  readonly progress: Progress;
  /** Aborted with the caller's signal, or when a bound is exceeded. */
  readonly signal?: AbortSignal | undefined;
  /** The export directory that is read. */
  readonly directory?: HeldDirectory | undefined;
}

type Work<Result> = (held: HeldSource) => Promise<Result>;

/**
 * Runs `work` with the source, and closes and unlocks the source in any case.
 * @throws {BusyError} `BUSY` if another operation is in progress there
 * @throws as `awaitExport`, `openExportDirectory`, `openStoreView`, `openSourceAt`
 */
export async function withRetrieveSource<Result>(
  source: RetrieveSource,
  context: ReadContext,
  work: Work<Result>,
): Promise<Result> {
  if ('from' in source) return withOther(source, context, located(work));
  if ('stateDir' in source) return withStore(source, context, located(work));
  return withExportDirectory(source, context, located(work, resolve(source.exportDir)));
}

/** @param path of the source as the operator knows it, if it is opened by another */
function located<Result>(work: Work<Result>, path?: string): Work<Result> {
  return async (held) => {
    const { source } = held;
    const { form, height } = source;
    const named = { form, height, path: path ?? source.path };
    return aboutSource(named, async () => work(held));
  };
}

async function withOther<Result>(
  { from, ...trust }: OtherSource,
  context: ReadContext,
  work: Work<Result>,
): Promise<Result> {
  const { scratchDir, pool, progress, signal } = context;
  const needs = { scratchDir, pool, needsExportData: true };
  const source = await openSourceAt({ ...context, ...trust, source: from }, needs);
  try {
    return await work({ source, progress, signal });
  } finally {
    await source.close();
  }
}

async function withExportDirectory<Result>(
  { exportDir: named, wait }: ExportDirectorySource,
  { height, pool, progress, signal }: ReadContext,
  work: Work<Result>,
): Promise<Result> {
  const exportDir = resolve(named);
  await awaitExport(exportDir, { wait, progress, signal });
  return withLock(
    [exportDir],
    { operation: 'retrieve', exportDir },
    async (lock, meter) => {
      const isThere = statIfThere(exportDir)?.isDirectory() === true;
      const directory = isThere ? HeldDirectory.openLinked(exportDir) : undefined;
      try {
        const path = directory?.path ?? exportDir;
        const source = exportDirectorySource(path, await openExportDirectory(path, pool));
        refuseHeight({ height: source.height, path: exportDir }, height);
        lock.update({ height: source.height });
        return await work({ source, progress: meter, signal, directory });
      } finally {
        directory?.close();
      }
    },
    progress,
  );
}

async function withStore<Result>(
  live: LiveStoreSource,
  { height, scratchDir, pool, progress, signal }: ReadContext,
  work: Work<Result>,
): Promise<Result> {
  const stateDir = resolve(live.stateDir);
  return withLock(
    lockedPathsOf(stateDir),
    { operation: 'retrieve', stateDir },
    async (lock, meter) => {
      if (live.awaited === undefined) warmUpReaders(pool, stateDir);
      const view = { ...live, height, stateDir, progress: meter, signal };
      const store = await openStoreView(view, scratchDir, (awaitedHeight) => {
        lock.update({ awaitedHeight });
      });
      const swingset = exportOfPinned(store, live.artifactMode);
      try {
        await store.startReaders(pool);
        lock.update({ height: store.height });
        const lookout = watchPin(store, live, signal);
        try {
          const source = swingStoreSource({ form: 'live store', path: stateDir, swingset });
          return await work({ source, progress: meter, signal: lookout.signal });
        } finally {
          lookout.end();
        }
      } finally {
        await swingset.close();
      }
    },
    progress,
  );
}
