/** `retrieve`: an export directory, or the live store itself, becomes a snapshot. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from '../../errors.ts';
import { removeHeldExport, type Removal } from '../../formats/export-directory/remove.ts';
import type { Progress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import { checkLevel, type ZstdCodec } from '../../io/zstd/codec.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import { swingsetModule } from '../../modules/swingset/module.ts';
import { WASM } from '../../modules/wasm/layout.ts';
import type { Belief } from '../../snapshot/belief.ts';
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
import {
  checkPlace,
  modulesToRead,
  noteLeft,
  refuseStoreBelow,
  type NamedPlace,
} from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { keepLast } from '../retention.ts';
import { StagedCodes } from '../source/staged-codes.ts';
import { finishRetrieve, type FinishOptions } from './finish-begun.ts';
import {
  holdSource,
  type ExportDirectorySource,
  type HeldSource,
  type RetrieveSource,
} from './hold-source.ts';

export interface RetrieveOptions {
  readonly source: RetrieveSource;
  readonly snapshotDir: string;
  /** What is read beside the SwingStore. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** The height that the source must be at. */
  readonly height?: number | undefined;
  /** Keeps so many of the highest heights, this one included, and removes the others. */
  readonly keepLast?: number | undefined;
  readonly replace: boolean;
  /** Raw bytes of a chunk at most. */
  readonly chunkBytes?: number | undefined;
  /** zstd level. */
  readonly level?: number | undefined;
  readonly scratchDir?: string | undefined;
  /** Worker threads; by default one per processor. */
  readonly concurrency?: number | undefined;
  /** Whether chunks are taken over from an earlier height; by default they are. */
  readonly reuse?: boolean | undefined;
  /** Whether each of them is hashed again. By default it is, and always before an export directory is removed. */
  readonly recheck?: boolean | undefined;
  /** Name and version of the program, for the manifest. */
  readonly madeBy: string;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

export interface Retrieved extends WrittenSnapshot {
  /** Path of the snapshot. */
  readonly path: string;
  /** What became of the export directory; undefined if it was kept, or there was none. */
  readonly removal: Removal | undefined;
  /** Heights that `keepLast` removed. */
  readonly removedHeights: readonly number[];
  /** Height of the snapshot that chunks were taken over from. */
  readonly reusedFrom: number | undefined;
}

/** What zstd takes as a good compromise of time and size. */
export const DEFAULT_LEVEL = 3;

/** Looks whether {@link retrieveSnapshot} could start, without making anything. Throws as it does. */
export async function checkRetrieve(options: RetrieveOptions): Promise<Check[]> {
  const { codec, scratchDir } = await prepare(options);
  const held = await holdSource(unhurried(options.source), options, scratchDir);
  const { source } = held;
  await held.release();
  return [
    { check: `source can be read at height ${source.height}`, path: source.location },
    ...(options.modules ?? []).map(checkPlace),
    checkWritable(options.snapshotDir, 'snapshot dir'),
    checkWritable(scratchDir, 'scratch dir'),
    { check: `zstd codec ${codec.name}` },
  ];
}

/**
 * Packages an export as a snapshot, proving on the way that it is whole and what its records say.
 * @throws {VerificationError} if it is not; nothing is published then
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if another snapshot of that height is there, and as the source's form
 */
export async function retrieveSnapshot(options: RetrieveOptions): Promise<Retrieved> {
  return withWorkerPool(options.concurrency, async (pool) => retrieveWith(options, pool));
}

async function retrieveWith(options: RetrieveOptions, pool: WorkerPool): Promise<Retrieved> {
  const { snapshotDir, replace, madeBy } = options;
  const { codec, level, chunkBytes, scratchDir } = await prepare(options);
  checkWritable(snapshotDir, 'snapshot dir');
  const storage = directoryStorage(resolve(snapshotDir));
  const known = KnownSnapshots.open();
  const believe = ({ progress, signal }: Pick<RetrieveOptions, 'progress' | 'signal'>): Belief =>
    believing({ known, codec, pool, scratchDir, progress, signal });
  const finished = await finishBegun(options, storage, { belief: believe(options), codec, pool });
  if (finished !== undefined) return finished;
  const codes = new StagedCodes(scratchDir);
  const held = await holdSource(options.source, { ...options, pool, codes }, scratchDir);
  try {
    const { source, progress, signal } = held;
    const { height } = source;
    const { note } = progress;
    noteLeft(source, note);
    const belief = believe(held);
    const earlier =
      options.reuse === false
        ? undefined
        : await EarlierSnapshot.open(storage, height, { codec, scratchDir, note, belief });
    try {
      const recheck = options.recheck !== false || mayRemove(options.source);
      const reuse = { earlier, recheck, belief };
      const pack = { height, codec, level, chunkBytes, replace, madeBy, pool, ...reuse };
      const others = await otherModulesOf(held, codes, options.modules ?? []);
      const modules = [swingsetModule({ source }), ...others];
      const packOptions = { ...pack, progress, signal, scratchDir };
      const result = await packModules(storage, modules, packOptions);
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
  } finally {
    await held.release();
    // Nobody reads any more, and nobody stages.
    codes.close();
  }
}

/**
 * What is read beside the SwingStore: at places, and the byte code of a state-sync snapshot.
 * @throws {UsageError} `MODULE_TWICE` if one is named as that byte code is
 */
async function otherModulesOf(
  { source, progress }: HeldSource,
  codes: StagedCodes,
  places: readonly NamedPlace[],
): Promise<StateModule[]> {
  if (source.readStores === undefined) return modulesToRead(places);
  progress.phase('stores');
  const { hasCodes } = await source.readStores();
  if (!hasCodes) return modulesToRead(places);
  const twice = places.find(({ name }) => name === WASM);
  if (twice !== undefined) {
    throw new UsageError('MODULE_TWICE', `module ${WASM} comes with the source`, {
      path: source.location,
      found: twice.dir,
      hint: `leave out --module ${WASM}=…`,
    });
  }
  return [codes.module(), ...modulesToRead(places)];
}

/** What is left to do where a retrieve was killed after its snapshot was published. */
async function finishBegun(
  { source, snapshotDir, keepLast: keep, height: asked, progress }: RetrieveOptions,
  storage: SnapshotStorage,
  options: FinishOptions,
): Promise<Retrieved | undefined> {
  if (!mayRemove(source)) return undefined;
  const exportDir = resolve(source.exportDir);
  const finished = await finishRetrieve(exportDir, storage, { ...options, height: asked });
  if (finished === undefined) return undefined;
  const { manifest, sha256: manifestSha256 } = finished.file;
  const { height } = manifest;
  const { note } = progress;
  return {
    manifest,
    manifestSha256,
    removal: finished.removal,
    written: false,
    reused: { chunks: 0, size: 0, rechecked: 0 },
    reusedFrom: undefined,
    path: resolve(snapshotDir, snapshotName(height)),
    removedHeights: await keepLast(storage, { keep, height, codec: options.codec, note }),
  };
}

/** The source without waiting for anything: a check tells what is so now. */
function unhurried(source: RetrieveSource): RetrieveSource {
  if ('from' in source) return source;
  return 'stateDir' in source ? { ...source, awaited: undefined } : { ...source, wait: false };
}

async function prepare(options: RetrieveOptions): Promise<{
  codec: ZstdCodec;
  level: number;
  chunkBytes: number;
  scratchDir: string;
}> {
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
  return {
    codec,
    level,
    chunkBytes,
    scratchDir: chooseScratchDir(options.scratchDir, options.snapshotDir),
  };
}

/** Whether it is an export directory that may go once its snapshot is durable. */
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
