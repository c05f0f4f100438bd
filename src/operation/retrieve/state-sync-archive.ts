/** `retrieve --format state-sync`: the stores of a state-sync snapshot, with the artifacts of an export behind them. */
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { NotFoundError, UsageError } from '../../errors.ts';
import { findStateSync, type FoundStateSync } from '../../formats/state-sync/layout.ts';
import { repackStateSync, type Repacked } from '../../formats/state-sync/write/repack.ts';
import { archiveName } from '../../formats/state-sync/write/write-archive.ts';
import { refuseNoSpace } from '../../io/files/free-space.ts';
import { makeDirectory, unmakeDirectories } from '../../io/files/made-directory.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import type { Progress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { refuseHeight } from '../refuse-height.ts';
import { findSource, type Trust } from '../source/open.ts';
import { holdSource, type HeldSource, type RetrieveSource } from './hold-source.ts';

export interface RetrieveStateSyncOptions extends Trust {
  /** Has the artifacts; it is left as it is. */
  readonly source: RetrieveSource;
  /** The state-sync snapshot whose stores are taken. */
  readonly storesFrom: string;
  /** A directory with the byte code of the chain, to be taken instead of what that snapshot has. */
  readonly wasmDir?: string | undefined;
  /** Where the archive goes. */
  readonly snapshotDir: string;
  /** The height that both must be at. */
  readonly height?: number | undefined;
  /** Whether another archive of that height is replaced. */
  readonly replace: boolean;
  readonly scratchDir?: string | undefined;
  /** Worker threads; by default one per processor. */
  readonly concurrency?: number | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

export interface RetrievedStateSync extends Repacked {
  /** Path of the archive. */
  readonly path: string;
  readonly height: number;
  /** That of the snapshot whose stores were taken. */
  readonly format: number;
}

/** Looks whether {@link retrieveStateSync} could start, without making anything. Throws as it does. */
export async function checkRetrieveStateSync(options: RetrieveStateSyncOptions): Promise<Check[]> {
  const { found, scratchDir } = prepare(options);
  const held = await hold(unhurried(options), scratchDir);
  const { source } = held;
  await held.release();
  return [
    { check: `stores can be read at height ${found.height}`, path: found.path },
    { check: `artifacts can be read at height ${source.height}`, path: source.location },
    checkWritable(options.snapshotDir, 'snapshot dir'),
    checkWritable(scratchDir, 'scratch dir'),
  ];
}

/**
 * Writes `<snapshotDir>/<height>-<format>.tar.gz`, an archive that `snapshots load` takes.
 * @throws {NotFoundError} `SOURCE_MISSING`, {@link UsageError} `NO_STORES` if `storesFrom` is no state-sync snapshot
 * @throws as `repackStateSync` and `holdSource`; nothing is published then
 */
export async function retrieveStateSync(
  options: RetrieveStateSyncOptions,
): Promise<RetrievedStateSync> {
  return withWorkerPool(options.concurrency, async (pool) => {
    const { found, scratchDir } = prepare(options);
    const held = await hold(options, scratchDir, pool);
    try {
      return await repack(options, { found, scratchDir, held, pool });
    } finally {
      await held.release();
    }
  });
}

interface Held {
  readonly found: FoundStateSync;
  readonly scratchDir: string;
  readonly held: HeldSource;
  readonly pool: WorkerPool;
}

async function repack(
  options: RetrieveStateSyncOptions,
  { found, scratchDir, held, pool }: Held,
): Promise<RetrievedStateSync> {
  const { height, format } = found;
  const { appHash, memStores, replace } = options;
  const snapshotDir = resolve(options.snapshotDir);
  const { source: artifacts, progress, signal } = held;
  const { note } = progress;
  const made = await makeDirectory(snapshotDir);
  try {
    const path = join(snapshotDir, archiveName(height, format));
    const wasmDir = options.wasmDir === undefined ? undefined : resolve(options.wasmDir);
    const repacked = await repackStateSync(found, {
      ...{ appHash, memStores, wasmDir, scratchDir, artifacts, path, replace },
      ...{ progress, signal, pool, note },
    });
    return { ...repacked, path, height, format };
  } catch (error) {
    await unmakeDirectories(made);
    throw error;
  }
}

function prepare(options: RetrieveStateSyncOptions): { found: FoundStateSync; scratchDir: string } {
  const { storesFrom, snapshotDir, wasmDir } = options;
  const found = findStores(storesFrom);
  refuseHeight({ height: found.height, location: found.path }, options.height);
  if (wasmDir !== undefined && statIfThere(wasmDir)?.isDirectory() !== true) {
    throw new UsageError('NOT_A_DIRECTORY', 'the directory of byte code does not exist', {
      path: wasmDir,
    });
  }
  checkWritable(snapshotDir, 'snapshot dir');
  const scratchDir = chooseScratchDir(options.scratchDir, snapshotDir);
  // About what the stores take; how large the artifacts become is not known.
  const bytes = bytesOf(found);
  refuseNoSpace(scratchDir, bytes, 'the chunks', '--scratch-dir');
  refuseNoSpace(resolve(snapshotDir), bytes, 'the archive', '--snapshot-dir');
  return { found, scratchDir };
}

function findStores(storesFrom: string): FoundStateSync {
  const path = resolve(storesFrom);
  const found = findStateSync(path);
  if (found !== undefined) return found;
  if (statIfThere(path) === undefined) {
    throw new NotFoundError('SOURCE_MISSING', 'nothing there', {
      path,
      hint: 'name a state-sync snapshot with --stores-from',
    });
  }
  throw new UsageError('NO_STORES', 'only a state-sync snapshot has the stores of a chain', {
    path,
    expected: 'the chunks of one, the data/snapshots of a node, or <height>-<format>.tar.gz',
    hint: 'name one with --stores-from',
  });
}

function bytesOf({ kind, path }: FoundStateSync): number {
  if (kind === 'archive') return statSync(path).size;
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

/** Opens and locks what has the artifacts; a state-sync snapshot is held against the same AppHash. */
async function hold(
  options: RetrieveStateSyncOptions,
  scratchDir: string,
  pool?: WorkerPool,
): Promise<HeldSource> {
  const { source, appHash, memStores } = options;
  const context = { ...options, pool };
  if (!('from' in source)) return holdSource(source, context, scratchDir);
  const { from } = source;
  const isStateSync = findSource(from).form === 'state-sync snapshot';
  return holdSource({ from, ...(isStateSync && { appHash, memStores }) }, context, scratchDir);
}

/** Without waiting for anything: a check tells what is so now. */
function unhurried(options: RetrieveStateSyncOptions): RetrieveStateSyncOptions {
  const { source } = options;
  if ('from' in source) return options;
  return {
    ...options,
    source: 'stateDir' in source ? { ...source, awaited: undefined } : { ...source, wait: false },
  };
}
