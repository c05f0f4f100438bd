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
  type FormatVersion,
} from '../../snapshot/layout.ts';
import type { StateModule } from '../../snapshot/module-contract.ts';
import { refuseOtherHash, versionOf, type WrittenSnapshot } from '../../snapshot/write/build.ts';
import { EarlierSnapshot } from '../../snapshot/write/earlier.ts';
import { packModules } from '../../snapshot/write/pack-modules.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import { directoryStorage } from '../../storage/directory.ts';
import { planOf } from '../../swing-store-export/copy-unverified.ts';
import { believing } from '../belief.ts';
import { KnownSnapshots } from '../known-snapshots.ts';
import { readRecord } from '../lock/record.ts';
import type { OperationOptions } from '../options.ts';
import { markPlace, openPlace, refuseLinkAt } from '../place/mark.ts';
import { thinOut } from '../place/retention.ts';
import type { KeepRules } from '../place/rules.ts';
import {
  checkPlace,
  modulesToRead,
  refuseLeftOut,
  refuseStoreBelow,
  type NamedPlace,
} from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { refuseUnproved, type ProofOptions } from '../proof.ts';
import { chainIdOf } from './chain-id.ts';
import { finishRetrieve } from './finish-begun.ts';
import {
  concurrencyFor,
  unhurried,
  withRetrieveSource,
  type ExportDirectorySource,
  type HeldSource,
  type ReadContext,
  type RetrieveSource,
} from './read-source.ts';
import { refuseNoRoom } from './room.ts';

export interface RetrieveOptions extends OperationOptions, Omit<ProofOptions, 'appHash'> {
  readonly source: RetrieveSource;
  /** A place: a directory that swingsnap has made, or one with a whole snapshot. */
  readonly snapshotDir: string;
  /** Whether `snapshotDir` may become a place: it is made, or has nothing of swingsnap in it yet. */
  readonly create?: boolean | undefined;
  /** The states to read beside the SwingStore. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** Names of modules of the source that may be left out. */
  readonly leaveModules?: readonly string[] | undefined;
  /** The height that the source must be at. */
  readonly height?: number | undefined;
  /** How many of the highest heights to keep, this one included. The others are removed. */
  readonly keepLast?: number | undefined;
  /** More rules: a height stays if any rule keeps it. Without a rule all stay. */
  readonly keep?: KeepRules | undefined;
  /** Replaces another snapshot of that height. */
  readonly replace?: boolean | undefined;
  /** Maximum raw bytes of a chunk. */
  readonly chunkBytes?: number | undefined;
  /** zstd level; by default {@link DEFAULT_LEVEL}, and {@link SHARED_LEVEL} for artifacts that are packed together, where no earlier snapshot has most of them. */
  readonly level?: number | undefined;
  /** Version of the format; by default the newest that the zstd codec of this process can write. */
  readonly formatVersion?: FormatVersion | undefined;
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
  /** Heights that `keepLast` and `keep` removed. */
  readonly removedHeights: readonly number[];
  /** Height of the snapshot that chunks were reused from. */
  readonly reusedFrom: number | undefined;
}

/** The level that zstd considers a good compromise of time and size. */
export const DEFAULT_LEVEL = 3;

/**
 * With far matches, which find what heap snapshots have in common, level 1 is faster than level 3, and takes 1 % more space
 * in full groups. What changes from height to height is less, and often alone: there it takes 7 % more.
 */
export const SHARED_LEVEL = 1;

/** Checks whether {@link retrieve} could start, without making anything. Throws the same errors. */
export async function checkRetrieve(options: RetrieveOptions): Promise<Check[]> {
  return withWorkerPool(concurrencyFor(options.source, options), async (pool) => {
    const work = await prepare(options, pool);
    const source = unhurried(options.source);
    return withRetrieveSource(source, work, async (held) => {
      const { height, swingset } = held.source;
      const needed = await refuseUnfit(held, work);
      return [
        { check: `source can be read at height ${height}`, path: swingset.location },
        ...(options.modules ?? []).map(checkPlace),
        { ...work.snapshotDir, ...(needed === undefined ? {} : { needed }) },
        checkWritable(work.scratchDir, 'scratch dir'),
        { check: `zstd codec ${work.codec.name}` },
      ];
    });
  });
}

/**
 * Packs a source as a snapshot, and proves on the way that it is complete and matches its records.
 * @throws {VerificationError} if it does not; nothing is published then
 * @throws {StorageError} `NO_PLACE`, `PLACE_CHAIN`, `NOT_MOUNTED` for a snapshot dir that is not the one meant
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if there is another snapshot of that height; what the source's form throws
 */
export async function retrieve(options: RetrieveOptions): Promise<Retrieved> {
  return withWorkerPool(concurrencyFor(options.source, options), async (pool) => {
    const work = { ...(await prepare(options, pool)), known: KnownSnapshots.open() };
    const finished = await finishBegun(work);
    if (finished !== undefined) return finished;
    return withRetrieveSource(options.source, work, async (held) => pack(held, work));
  });
}

interface Work extends Prepared {
  readonly known: KnownSnapshots;
}

/**
 * Runs the checks that need the open source.
 * @returns about how many bytes the snapshot needs, where that can be guessed
 */
async function refuseUnfit(
  { source, progress: { note } }: HeldSource,
  { options, storage }: Prepared,
): Promise<number | undefined> {
  await refuseLinkAt(storage, source.height);
  const { source: from, snapshotDir } = options;
  return refuseNoRoom({ from, source, snapshotDir, storage, note });
}

async function pack(held: HeldSource, work: Work): Promise<Retrieved> {
  const { options, storage, known, codec, scratchDir, level, chunkBytes, pool, version } = work;
  const { replace = false, madeBy = programName(), snapshotDir, expect } = options;
  const { source, progress, signal } = held;
  const { height } = source;
  const { note } = progress;
  await refuseUnfit(held, work);
  const left = source.left();
  if (left !== undefined) note(left);
  const working = { scratchDir, pool, progress, signal };
  // Told before an earlier snapshot is verified, which may take as long.
  progress.plan?.(planOf(source.swingset));
  const belief = believing({ ...working, known, codec });
  const earlier =
    options.reuse === false
      ? undefined
      : await EarlierSnapshot.open(storage, height, {
          codec,
          scratchDir,
          note,
          belief,
          version,
        });
  try {
    const modules = await modulesOf(held, options);
    const result = await packModules(storage, modules, {
      ...working,
      height,
      codec,
      version,
      level,
      sharedLevel: options.level ?? (earlier === undefined ? SHARED_LEVEL : DEFAULT_LEVEL),
      chunkBytes,
      replace,
      expect,
      madeBy,
      madeAt: new Date(),
      earlier,
      belief,
      recheck: options.recheck !== false || mayRemove(options.source),
    });
    known.add(result.manifestSha256);
    await markPlace(work.mark, note);
    const retention = { rules: rulesOf(options), height, codec, note };
    return {
      ...result,
      reusedFrom: earlier?.height,
      path: resolve(snapshotDir, snapshotName(height)),
      removedHeights: await thinOut(storage, retention),
      removal: await removeSource(options.source, held),
    };
  } finally {
    earlier?.close();
  }
}

/**
 * Modules for the states of the source, and for those that are read beside it.
 * @throws {UsageError} `MODULE_TWICE` if a place has the name of a state of the source; `MODULE_PLACE`
 */
async function modulesOf(
  { source, progress }: HeldSource,
  { modules: places = [], leaveModules }: RetrieveOptions,
): Promise<StateModule[]> {
  const modules = await source.readers(progress);
  const taken = modules.map(({ name }) => name);
  refuseLeftOut(
    source.mayHold.filter(({ name, isGuess }) => isGuess !== true && !taken.includes(name)),
    leaveModules,
  );
  for (const { name } of modules) {
    const twice = places.find((place) => place.name === name);
    if (twice === undefined) continue;
    throw new UsageError('MODULE_TWICE', `module ${name} is already in the source`, {
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
  const { source, snapshotDir } = options;
  if (!mayRemove(source)) return undefined;
  const finished = await finishRetrieve(resolve(source.exportDir), storage, {
    belief: believing(work),
    codec,
    pool,
    progress,
    height: options.height,
  });
  if (finished === undefined) return undefined;
  await markPlace(work.mark, work.progress.note);
  const { manifest, sha256: manifestSha256 } = finished.file;
  const { height } = manifest;
  refuseOtherHash(options.expect, manifest.contentHash);
  return {
    manifest,
    manifestSha256,
    removal: finished.removal,
    written: false,
    reused: { chunks: 0, size: 0, rechecked: 0 },
    reusedFrom: undefined,
    path: resolve(snapshotDir, snapshotName(height)),
    removedHeights: await thinOut(storage, {
      rules: rulesOf(options),
      height,
      codec,
      note: progress.note,
    }),
  };
}

function rulesOf({ keepLast: last, keep }: RetrieveOptions): KeepRules {
  return { ...keep, last: last ?? keep?.last };
}

interface Prepared extends ReadContext {
  readonly options: RetrieveOptions;
  readonly storage: SnapshotPlace;
  readonly snapshotDir: Check;
  /** Marks the place. */
  readonly mark: () => Promise<void>;
  readonly codec: ZstdCodec;
  readonly version: FormatVersion;
  readonly level: number;
  readonly chunkBytes: number;
}

async function prepare(options: RetrieveOptions, pool: WorkerPool): Promise<Prepared> {
  const codec = await loadZstdCodec();
  const {
    source,
    expect,
    requireProof,
    modules = [],
    level = DEFAULT_LEVEL,
    chunkBytes = DEFAULT_CHUNK_BYTES,
  } = options;
  refuseUnproved({ expect, requireProof, appHash: 'from' in source ? source.appHash : undefined });
  if ('stateDir' in source) refuseStoreBelow(modules, source.stateDir);
  checkLevel(codec, level);
  const version = versionOf({ codec, version: options.formatVersion });
  if (chunkBytes < MIN_CHUNK_BYTES || chunkBytes > MAX_CHUNK_BYTES) {
    throw new UsageError('CHUNK_SIZE', 'the chunk size is out of range', {
      expected: `${MIN_CHUNK_BYTES} to ${MAX_CHUNK_BYTES} bytes`,
      found: chunkBytes,
    });
  }
  const { height, progress = noProgress, signal } = options;
  const snapshotDir = checkWritable(options.snapshotDir, 'snapshot dir');
  const storage = directoryStorage(resolve(options.snapshotDir));
  const chainId = 'stateDir' in source ? chainIdOf(source.stateDir) : undefined;
  const mark = await openPlace(storage, { create: options.create ?? false, chainId, codec });
  const scratchDir = chooseScratchDir(options.scratchDir, options.snapshotDir);
  const reading = { scratchDir, height, pool, progress, signal };
  return { ...reading, options, storage, snapshotDir, mark, codec, version, level, chunkBytes };
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
