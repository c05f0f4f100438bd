/** `retrieve --format state-sync`: packs the stores of a state-sync snapshot, then the artifacts of an export. */
import { join, resolve } from 'node:path';
import { NotFoundError, UsageError } from '../../errors.ts';
import { bytesOf, type FoundStateSync } from '../../formats/state-sync/layout.ts';
import {
  newestStateSync,
  stateSyncHeights,
  type NewestStateSyncOptions,
} from '../../formats/state-sync/newest.ts';
import { repackStateSync, type Repacked } from '../../formats/state-sync/write/repack.ts';
import { archiveName } from '../../formats/state-sync/write/write-archive.ts';
import { refuseNoSpace } from '../../io/disks/free-space.ts';
import { makeDirectory, unmakeDirectories } from '../../io/files/made-directory.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import { noProgress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import { findInNode, findSource, refuseOtherHeights } from '../../source/find.ts';
import type { Trust } from '../../source/open.ts';
import type { OperationOptions } from '../options.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { refuseUnproved, type ProofOptions } from '../proof.ts';
import { refuseHeight } from '../with-source.ts';
import {
  concurrencyFor,
  unhurried,
  withRetrieveSource,
  type HeldSource,
  type ReadContext,
  type RetrieveSource,
} from './read-source.ts';

export interface RetrieveStateSyncOptions
  extends OperationOptions, Trust, Omit<ProofOptions, 'expect'> {
  /** Provides the artifacts. It is not changed. */
  readonly source: RetrieveSource;
  /** The state-sync snapshot whose stores are taken. */
  readonly storesFrom: string;
  /** A directory with the byte code of the chain, to use instead of the snapshot's. */
  readonly wasmDir?: string | undefined;
  /** The directory for the archive. */
  readonly snapshotDir: string;
  /** The height to take from directories of several; both sources must be at it. */
  readonly height?: number | undefined;
  /** Whether to replace another archive of that height. */
  readonly replace?: boolean | undefined;
}

export interface RetrievedStateSync extends Repacked {
  /** Path of the archive. */
  readonly path: string;
  readonly height: number;
  /** Format of the snapshot whose stores were taken. */
  readonly format: number;
}

/** Checks whether {@link retrieveStateSync} could start, without making anything. Throws the same errors. */
export async function checkRetrieveStateSync(options: RetrieveStateSyncOptions): Promise<Check[]> {
  return withWorkerPool(concurrencyFor(options.source, options), async (pool) => {
    const { found, ...context } = await prepare(options, pool);
    const source = unhurried(await artifactsOf(options, context));
    const artifacts = await withRetrieveSource(source, context, async ({ source: read }) => ({
      check: `artifacts can be read at height ${read.height}`,
      path: read.swingset.location,
    }));
    return [
      { check: `stores can be read at height ${found.height}`, path: found.path },
      artifacts,
      checkWritable(options.snapshotDir, 'snapshot dir'),
      checkWritable(context.scratchDir, 'scratch dir'),
    ];
  });
}

/**
 * Writes `<snapshotDir>/<height>-<format>.tar.gz`, an archive that `snapshots load` accepts.
 * @throws {NotFoundError} `SOURCE_MISSING`, `HEIGHT`; {@link UsageError} `NO_STORES` if `storesFrom` is not a state-sync snapshot
 * @throws as `repackStateSync` and `withRetrieveSource`; nothing is published then
 */
export async function retrieveStateSync(
  options: RetrieveStateSyncOptions,
): Promise<RetrievedStateSync> {
  return withWorkerPool(concurrencyFor(options.source, options), async (pool) => {
    const prepared = await prepare(options, pool);
    return withRetrieveSource(await artifactsOf(options, prepared), prepared, async (held) =>
      repack(options, held, prepared),
    );
  });
}

async function repack(
  options: RetrieveStateSyncOptions,
  { source, progress, signal }: HeldSource,
  { found, scratchDir, pool }: Prepared,
): Promise<RetrievedStateSync> {
  const { height, format } = found;
  const { appHash, memStores, replace = false } = options;
  const snapshotDir = resolve(options.snapshotDir);
  const made = await makeDirectory(snapshotDir);
  try {
    const path = join(snapshotDir, archiveName(height, format));
    const repacked = await repackStateSync(found, {
      appHash,
      memStores,
      wasmDir: options.wasmDir === undefined ? undefined : resolve(options.wasmDir),
      scratchDir,
      artifacts: source.swingset,
      path,
      replace,
      progress,
      signal,
      pool,
      note: progress.note,
    });
    return { ...repacked, path, height, format };
  } catch (error) {
    await unmakeDirectories(made);
    throw error;
  }
}

interface Prepared extends ReadContext {
  readonly found: FoundStateSync;
}

async function prepare(options: RetrieveStateSyncOptions, pool: WorkerPool): Promise<Prepared> {
  const { storesFrom, snapshotDir, wasmDir, height, progress = noProgress, signal } = options;
  refuseUnproved(options, 'the AppHash');
  const scratchDir = chooseScratchDir(options.scratchDir, snapshotDir);
  const { note } = progress;
  const found = await findStores(storesFrom, { height, scratchDir, note });
  refuseHeight(found, height);
  if (wasmDir !== undefined && statIfThere(wasmDir)?.isDirectory() !== true) {
    throw new UsageError('NOT_A_DIRECTORY', 'the directory of byte code does not exist', {
      path: wasmDir,
    });
  }
  checkWritable(snapshotDir, 'snapshot dir');
  // About the size of the stores. How large the artifacts become is unknown.
  const bytes = bytesOf(found);
  refuseNoSpace(scratchDir, bytes, 'the chunks', '--scratch-dir');
  refuseNoSpace(resolve(snapshotDir), bytes, 'the archive', '--snapshot-dir');
  return { found, scratchDir, height, pool, progress, signal };
}

async function findStores(
  storesFrom: string,
  options: NewestStateSyncOptions,
): Promise<FoundStateSync> {
  const path = resolve(storesFrom);
  const { height, scratchDir } = options;
  const found = await newestStateSync(path, options);
  if (found !== undefined) return found;
  if (height !== undefined)
    refuseOtherHeights(path, height, await stateSyncHeights(path, scratchDir));
  const ofNode = await findInNode(path, options);
  if (ofNode !== undefined) return ofNode;
  if (statIfThere(path) === undefined) {
    throw new NotFoundError('SOURCE_MISSING', 'nothing there', {
      path,
      hint: 'name a state-sync snapshot with --stores-from',
    });
  }
  throw new UsageError('NO_STORES', 'only a state-sync snapshot has the stores of a chain', {
    path,
    expected: 'the chunks of one, an archive of snapshots dump, or the home of a node',
    hint: 'name one with --stores-from',
  });
}

/** The source of the artifacts. A state-sync snapshot is checked against the same AppHash as the stores. */
async function artifactsOf(
  { source, height, appHash, memStores }: RetrieveStateSyncOptions,
  { scratchDir }: Pick<ReadContext, 'scratchDir'>,
): Promise<RetrieveSource> {
  if (!('from' in source)) return source;
  const { from } = source;
  const { form } = await findSource(from, { height, scratchDir });
  return form === 'state-sync snapshot' ? { from, appHash, memStores } : { from };
}
