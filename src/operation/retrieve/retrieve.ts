/** `retrieve`: packs an export directory, the live store itself, or any other source as a snapshot. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from '../../errors.ts';
import { removeHeldExport, type Removal } from '../../formats/export-directory/remove.ts';
import { programName } from '../../io/program.ts';
import { noProgress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import { checkLevel, type ZstdCodec } from '../../io/zstd/codec.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import {
  DEFAULT_CHUNK_BYTES,
  MAX_CHUNK_BYTES,
  MIN_CHUNK_BYTES,
  snapshotName,
} from '../../snapshot/layout.ts';
import type { StateModule } from '../../snapshot/module-contract.ts';
import type { WrittenSnapshot } from '../../snapshot/write/build.ts';
import { EarlierSnapshot } from '../../snapshot/write/earlier.ts';
import { packModules } from '../../snapshot/write/pack-modules.ts';
import type { SnapshotStorage } from '../../storage/contract.ts';
import { directoryStorage } from '../../storage/directory.ts';
import { believing } from '../belief.ts';
import { KnownSnapshots } from '../known-snapshots.ts';
import { readRecord } from '../lock/record.ts';
import type { OperationOptions } from '../options.ts';
import { checkPlace, modulesToRead, refuseStoreBelow, type NamedPlace } from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { keepLast } from '../retention.ts';
import { finishRetrieve } from './finish-begun.ts';
import {
  unhurried,
  withRetrieveSource,
  type ExportDirectorySource,
  type HeldSource,
  type ReadContext,
  type RetrieveSource,
} from './read-source.ts';

export interface RetrieveOptions extends OperationOptions {
  readonly source: RetrieveSource;
  readonly snapshotDir: string;
  /** The states to read beside the SwingStore. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** The height that the source must be at. */
  readonly height?: number | undefined;
  /** How many of the highest heights to keep, this one included. The others are removed. */
  readonly keepLast?: number | undefined;
  /** Replaces another snapshot of that height. */
  readonly replace?: boolean | undefined;
  /** Maximum raw bytes of a chunk. */
  readonly chunkBytes?: number | undefined;
  /** zstd level. */
  readonly level?: number | undefined;
  /** Whether to reuse chunks of an earlier height; true by default. */
  readonly reuse?: boolean | undefined;
  /** Whether to hash each reused chunk again; true by default, and always before an export directory is removed. */
  readonly recheck?: boolean | undefined;
  /** Name and version of the program, for the manifest; by default those of this library. */
  readonly madeBy?: string | undefined;
}

export interface Retrieved extends WrittenSnapshot {
  /** Path of the snapshot. */
  readonly path: string;
  /** What became of the export directory; undefined if it was kept, or there was none. */
  readonly removal: Removal | undefined;
  /** Heights that `keepLast` removed. */
  readonly removedHeights: readonly number[];
  /** Height of the snapshot that chunks were reused from. */
  readonly reusedFrom: number | undefined;
}

/** The level that zstd considers a good compromise of time and size. */
export const DEFAULT_LEVEL = 3;

/** Checks whether {@link retrieve} could start, without making anything. Throws the same errors. */
export async function checkRetrieve(options: RetrieveOptions): Promise<Check[]> {
  return withWorkerPool(options.concurrency, async (pool) => {
    const { codec, ...context } = await prepare(options, pool);
    const source = unhurried(options.source);
    const read = await withRetrieveSource(
      source,
      context,
      async ({ source: { height, swingset } }) => ({
        check: `source can be read at height ${height}`,
        path: swingset.location,
      }),
    );
    return [
      read,
      ...(options.modules ?? []).map(checkPlace),
      checkWritable(options.snapshotDir, 'snapshot dir'),
      checkWritable(context.scratchDir, 'scratch dir'),
      { check: `zstd codec ${codec.name}` },
    ];
  });
}

/**
 * Packs a source as a snapshot, and proves on the way that it is complete and matches its records.
 * @throws {VerificationError} if it does not; nothing is published then
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if there is another snapshot of that height; what the source's form throws
 */
export async function retrieve(options: RetrieveOptions): Promise<Retrieved> {
  return withWorkerPool(options.concurrency, async (pool) => {
    const prepared = await prepare(options, pool);
    checkWritable(options.snapshotDir, 'snapshot dir');
    const storage = directoryStorage(resolve(options.snapshotDir));
    const known = KnownSnapshots.open();
    const work = { ...prepared, options, storage, known };
    const finished = await finishBegun(work);
    if (finished !== undefined) return finished;
    return withRetrieveSource(options.source, prepared, async (held) => pack(held, work));
  });
}

interface Work extends Prepared {
  readonly options: RetrieveOptions;
  readonly storage: SnapshotStorage;
  readonly known: KnownSnapshots;
}

async function pack(held: HeldSource, work: Work): Promise<Retrieved> {
  const { options, storage, known, codec, scratchDir, level, chunkBytes, pool } = work;
  const { replace = false, madeBy = programName(), snapshotDir } = options;
  const { source, progress, signal } = held;
  const { height } = source;
  const { note } = progress;
  const left = source.left();
  if (left !== undefined) note(left);
  const working = { scratchDir, pool, progress, signal };
  const belief = believing({ ...working, known, codec });
  const earlier =
    options.reuse === false
      ? undefined
      : await EarlierSnapshot.open(storage, height, { codec, scratchDir, note, belief });
  try {
    const modules = await modulesOf(held, options.modules ?? []);
    const result = await packModules(storage, modules, {
      ...working,
      height,
      codec,
      level,
      chunkBytes,
      replace,
      madeBy,
      madeAt: new Date(),
      earlier,
      belief,
      recheck: options.recheck !== false || mayRemove(options.source),
    });
    known.add(result.manifestSha256);
    const retention = { keep: options.keepLast, height, codec, note };
    return {
      ...result,
      reusedFrom: earlier?.height,
      path: resolve(snapshotDir, snapshotName(height)),
      removedHeights: await keepLast(storage, retention),
      removal: await removeSource(options.source, held),
    };
  } finally {
    earlier?.close();
  }
}

/**
 * Modules for the states of the source, and for those that are read beside it.
 * @throws {UsageError} `MODULE_TWICE` if a place has the name of a state of the source
 */
async function modulesOf(
  { source, progress }: HeldSource,
  places: readonly NamedPlace[],
): Promise<StateModule[]> {
  const modules = await source.readers(progress);
  for (const { name } of modules) {
    const twice = places.find((place) => place.name === name);
    if (twice === undefined) continue;
    throw new UsageError('MODULE_TWICE', `module ${name} comes with the source`, {
      path: source.swingset.location,
      found: twice.dir,
      hint: `leave out --module ${name}=…`,
    });
  }
  return [...modules, ...modulesToRead(places)];
}

/** Finishes a retrieve that was killed after it had published its snapshot; undefined if there is none. */
async function finishBegun(work: Work): Promise<Retrieved | undefined> {
  const { options, storage, codec, pool, progress } = work;
  const { source, snapshotDir, keepLast: keep } = options;
  if (!mayRemove(source)) return undefined;
  const finished = await finishRetrieve(resolve(source.exportDir), storage, {
    belief: believing(work),
    codec,
    pool,
    height: options.height,
  });
  if (finished === undefined) return undefined;
  const { manifest, sha256: manifestSha256 } = finished.file;
  const { height } = manifest;
  return {
    manifest,
    manifestSha256,
    removal: finished.removal,
    written: false,
    reused: { chunks: 0, size: 0, rechecked: 0 },
    reusedFrom: undefined,
    path: resolve(snapshotDir, snapshotName(height)),
    removedHeights: await keepLast(storage, { keep, height, codec, note: progress.note }),
  };
}

interface Prepared extends ReadContext {
  readonly codec: ZstdCodec;
  readonly level: number;
  readonly chunkBytes: number;
}

async function prepare(options: RetrieveOptions, pool: WorkerPool): Promise<Prepared> {
  const codec = await loadZstdCodec();
  const { source, modules = [], level = DEFAULT_LEVEL, chunkBytes = DEFAULT_CHUNK_BYTES } = options;
  if ('stateDir' in source) refuseStoreBelow(modules, source.stateDir);
  checkLevel(codec, level);
  if (chunkBytes < MIN_CHUNK_BYTES || chunkBytes > MAX_CHUNK_BYTES) {
    throw new UsageError('CHUNK_SIZE', 'the chunk size is out of range', {
      expected: `${MIN_CHUNK_BYTES} to ${MAX_CHUNK_BYTES} bytes`,
      found: chunkBytes,
    });
  }
  const { height, progress = noProgress, signal } = options;
  const scratchDir = chooseScratchDir(options.scratchDir, options.snapshotDir);
  return { codec, level, chunkBytes, scratchDir, height, pool, progress, signal };
}

/** Whether the source is an export directory that may be removed once its snapshot is durable. */
function mayRemove(source: RetrieveSource): source is ExportDirectorySource {
  return 'exportDir' in source && source.remove !== 'never';
}

/** Removes the very directory that was read. */
async function removeSource(
  source: RetrieveSource,
  { directory }: HeldSource,
): Promise<Removal | undefined> {
  if (!mayRemove(source)) return undefined;
  if (directory === undefined || !existsSync(source.exportDir)) return undefined;
  const remove = source.remove === 'always' || (await readRecord(directory.path)) !== undefined;
  return remove ? removeHeldExport(directory) : undefined;
}
