/** `copy`: puts heights of a place, or one snapshot, into another place, as they are. */
import { join, resolve } from 'node:path';
import { NotFoundError, SwingSnapError, VerificationError } from '../../errors.ts';
import { listed } from '../../io/listed.ts';
import { noProgress, type Progress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import { isFaultOfStored } from '../../snapshot/gone.ts';
import { MANIFEST_FILE, snapshotName } from '../../snapshot/layout.ts';
import { madeAt, readManifestFile, type ManifestFile } from '../../snapshot/manifest.ts';
import { findChunks, hashChunks } from '../../snapshot/read/quick-verify.ts';
import {
  copySnapshot,
  HashedFiles,
  type CopiedChunks,
} from '../../snapshot/write/copy-snapshot.ts';
import { damagedExists, notASnapshot, otherExists } from '../../snapshot/write/existing.ts';
import type { Salvage, SnapshotPlace, StoredSnapshot } from '../../storage/contract.ts';
import { directoryStorage } from '../../storage/directory.ts';
import type { OperationOptions } from '../options.ts';
import {
  chooseHeights,
  heightsIn,
  type ChosenHeights,
  type HeightChoice,
} from '../place/choose.ts';
import { readHeight, type WholeHeight } from '../place/contents.ts';
import { markPlace, openPlace, refuseLinkAt } from '../place/mark.ts';
import { hasRule, type KeepRules } from '../place/rules.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { keptOfBoth, removeOthers } from './mirror.ts';

export interface CopyOptions extends OperationOptions, HeightChoice {
  /** Path of a snapshot, or of a place. It is not changed. */
  readonly source: string;
  /** The place to copy to. */
  readonly snapshotDir: string;
  /** Whether `snapshotDir` may become a place: it is made, or has nothing of swingsnap in it yet. */
  readonly create?: boolean | undefined;
  /** Replaces other snapshots of these heights, and the same one if a chunk of it is damaged. */
  readonly replace?: boolean | undefined;
  /** Makes a mirror: copies only what these rules keep of both places, and then removes all else from `snapshotDir`. */
  readonly keep?: KeepRules | undefined;
}

export interface CopiedHeight {
  readonly height: number;
  /** Path of the copy. */
  readonly path: string;
  readonly contentHash: string;
  /** False if it was there already. */
  readonly written: boolean;
  /** Of the snapshot: the number of its chunks, and the bytes of their files. */
  readonly chunks: { readonly count: number; readonly size: number };
  /** Where they come from; undefined if it was there already. */
  readonly from: CopiedChunks | undefined;
}

export interface CopiedSnapshots {
  readonly source: string;
  readonly place: string;
  /** In the order of the work, the highest first. */
  readonly heights: readonly CopiedHeight[];
  /** Heights that no rule of `keep` keeps. */
  readonly removedHeights: readonly number[];
}

/** How many heights of the place are asked for a chunk. Heights that are near share the most. */
const MAX_BESIDE = 8;
/** How often a height is copied that is replaced meanwhile. */
const ATTEMPTS = 3;

/**
 * Copies snapshots into a place. Proves of them what `quicklyVerify` proves, so a copy is as true as its source was.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`; `NOT_COPIED` if some of all heights are damaged, once the others are copied
 * @throws {StorageError} `NO_PLACE`, `PLACE_CHAIN`, `NOT_MOUNTED`; {@link NotFoundError} `SNAPSHOT_GONE`
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS`, before anything is copied; as `chooseHeights`
 */
export async function copy(options: CopyOptions): Promise<CopiedSnapshots> {
  return withWorkerPool(options.concurrency, async (pool) => {
    const work = await prepare(options, pool);
    const { chosen, place } = work;
    const { planned, kept } = await plan(work);
    const heights = await copyAll(planned, work);
    const { codec, progress } = work;
    const mirroring = { place, codec, note: progress.note };
    const removedHeights = kept === undefined ? [] : await removeOthers(kept, mirroring);
    return { source: chosen.path, place: place.location, heights, removedHeights };
  });
}

/** Checks whether {@link copy} could start, without making anything. Throws the same errors. */
export async function checkCopy(options: CopyOptions): Promise<Check[]> {
  return withWorkerPool(0, async (pool) => {
    const work = await prepare(options, pool);
    const { planned } = await plan(work);
    const { path, heights } = work.chosen;
    return [
      { check: `source has heights ${listed(heights)}`, path },
      { check: `heights to copy: ${planned.filter((each) => !each.isThere).length}` },
      work.snapshotDir,
      checkWritable(work.scratchDir, 'scratch dir'),
      { check: `zstd codec ${work.codec.name}` },
    ];
  });
}

interface Work {
  readonly options: CopyOptions;
  readonly chosen: ChosenHeights;
  readonly place: SnapshotPlace;
  readonly snapshotDir: Check;
  readonly mark: () => Promise<void>;
  readonly codec: ZstdCodec;
  readonly pool: WorkerPool;
  readonly scratchDir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
  /** Heights that are damaged. */
  readonly failures: Set<number>;
}

async function prepare(options: CopyOptions, pool: WorkerPool): Promise<Work> {
  const { progress = noProgress, signal, create = false } = options;
  const codec = await loadZstdCodec();
  const snapshotDir = checkWritable(options.snapshotDir, 'snapshot dir');
  const scratchDir = chooseScratchDir(options.scratchDir, options.snapshotDir);
  const chosen = await chooseHeights({ ...options, scratchDir, note: progress.note });
  const place = directoryStorage(resolve(options.snapshotDir));
  const mark = await openPlace(place, { create, chainId: chosen.chainId, codec });
  const failures = new Set<number>();
  return {
    ...{ options, chosen, place, snapshotDir, mark, codec, pool, scratchDir, progress, signal },
    failures,
  };
}

/** A height of the source. */
interface PlannedHeight {
  readonly height: number;
  readonly file: ManifestFile;
  /** Whether the place has it already. */
  readonly isThere: boolean;
}

interface Plan {
  readonly planned: readonly PlannedHeight[];
  /** The heights that the rules keep; undefined without rules. */
  readonly kept: ReadonlySet<number> | undefined;
}

/** Reads the manifests, and refuses what is in the way, before anything is copied. */
async function plan(work: Work): Promise<Plan> {
  const { options, chosen, place, codec, progress, signal } = work;
  const { keep = {} } = options;
  const isMirror = hasRule(keep);
  const found: { readonly height: number; readonly at: Date; readonly file: ManifestFile }[] = [];
  for (const height of chosen.heights) {
    signal?.throwIfAborted();
    const read = await attempt(work, height, async () => readSource(work, height, isMirror));
    if (read !== undefined) found.push(read);
  }
  const mirroring = { place, codec, note: progress.note };
  const kept = isMirror ? await keptOfBoth(found, keep, mirroring) : undefined;
  const planned: PlannedHeight[] = [];
  for (const { height, file } of found) {
    if (kept?.has(height) === false) continue;
    planned.push({ height, file, isThere: await isThere(work, file) });
  }
  progress.plan?.(
    planned
      .filter((each) => !each.isThere)
      .map(({ height, file }) => ({ name: phaseOf(height), bytes: file.manifest.chunks.size })),
  );
  return { planned, kept };
}

/** @param isCounted whether it counts for rules, and so must be whole */
async function readSource(
  { chosen, codec }: Work,
  height: number,
  isCounted: boolean,
): Promise<{ readonly height: number; readonly at: Date; readonly file: ManifestFile }> {
  const stored = await chosen.open(height);
  const file = await readManifestFile(stored);
  if (isCounted) await findChunks(stored, file.manifest, codec);
  const at = madeAt(file.manifest) ?? (await stored.facts(MANIFEST_FILE)).modified;
  return { height, at, file };
}

async function readManifest({ chosen }: Work, height: number): Promise<ManifestFile> {
  return readManifestFile(await chosen.open(height));
}

function phaseOf(height: number): string {
  return `height ${height}`;
}

/**
 * Whether the place has the same height, whole.
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if it has another one that may not be replaced
 */
async function isThere(
  { options, place, codec, pool }: Work,
  file: ManifestFile,
): Promise<boolean> {
  const { height, contentHash } = file.manifest;
  await refuseLinkAt(place, height);
  const there = await readHeight(place, height, codec);
  if (there === undefined) return false;
  const path = `${place.location}/${there.name}`;
  if (there.state === 'foreign') throw notASnapshot(path);
  const isWhole = there.state === 'whole';
  if (isWhole && there.file.manifest.contentHash === contentHash) {
    return options.replace !== true || isRight(there, codec, pool);
  }
  if (options.replace === true) return false;
  throw isWhole
    ? otherExists(path, contentHash, there.file.manifest.contentHash)
    : damagedExists(path, contentHash, there.reason);
}

/** Whether every chunk of it has the right hash: one that does not is what a replacement is for. */
async function isRight(
  { stored, file }: WholeHeight,
  codec: ZstdCodec,
  pool: WorkerPool,
): Promise<boolean> {
  try {
    await hashChunks(stored, file.manifest, codec, { pool });
    return true;
  } catch (error) {
    if (!isFaultOfStored(error)) throw error;
    return false;
  }
}

async function copyAll(planned: readonly PlannedHeight[], work: Work): Promise<CopiedHeight[]> {
  const { place, failures, mark, progress, signal } = work;
  const copied: CopiedHeight[] = [];
  const hashed = new HashedFiles(work.scratchDir);
  let salvage: Salvage | undefined;
  try {
    // Even if there is nothing to copy: what a killed copy has left is removed.
    salvage = await place.salvage();
    const beside = { salvaged: salvage.snapshots, heights: await heightsIn(place) };
    for (const each of planned) {
      signal?.throwIfAborted();
      const done = each.isThere
        ? resultOf(work, each.file, undefined)
        : await attempt(work, each.height, async () => copyHeight(each, beside, hashed, work));
      if (done === undefined) continue;
      if (copied.length === 0) await markPlace(mark, progress.note);
      copied.push(done);
      beside.heights.push(each.height);
    }
  } finally {
    hashed.close();
    if (signal?.aborted === true) await salvage?.leave();
    else await salvage?.discard();
  }
  if (failures.size > 0) throw notCopied(work);
  return copied;
}

/** Where chunks may be that need not be copied. */
interface Beside {
  readonly salvaged: readonly StoredSnapshot[];
  readonly heights: readonly number[];
}

/** Copies one height, again if it is replaced meanwhile. */
async function copyHeight(
  { height, file: first }: PlannedHeight,
  { salvaged, heights }: Beside,
  hashed: HashedFiles,
  work: Work,
): Promise<CopiedHeight> {
  const { options, chosen, place, codec, pool, progress, signal } = work;
  const near = [...new Set(heights)].sort((a, b) => Math.abs(a - height) - Math.abs(b - height));
  const opened = near.slice(0, MAX_BESIDE).map(async (each) => openIfThere(place, each));
  const found = (await Promise.all(opened)).filter((each) => each !== undefined);
  const copying = { codec, pool, progress, signal, hashed, beside: [...salvaged, ...found] };
  for (let file = first, count = 1; ; count += 1) {
    const stored = await chosen.open(height);
    const { count: items, size: bytes } = file.manifest.chunks;
    progress.phase(phaseOf(height), { bytes, items, unit: 'chunks' });
    try {
      const replace = options.replace ?? false;
      const from = await copySnapshot(stored, file, place, { ...copying, replace });
      return resultOf(work, file, from);
    } catch (error) {
      if (isExisting(error) && (await isThere(work, file))) return resultOf(work, file, undefined);
      if (!isFaultOfStored(error) || count === ATTEMPTS) throw error;
      const now = await readManifest(work, height).catch(() => undefined);
      if (now === undefined || now.sha256 === file.sha256) throw error;
      progress.note(`height ${height} of the source was replaced meanwhile, and is copied again`);
      file = now;
      if (await isThere(work, file)) return resultOf(work, file, undefined);
    }
  }
}

/** Whether another process has published that height meanwhile. */
function isExisting(error: unknown): boolean {
  return error instanceof SwingSnapError && error.code === 'SNAPSHOT_EXISTS';
}

async function openIfThere(
  place: SnapshotPlace,
  height: number,
): Promise<StoredSnapshot | undefined> {
  return place.open(snapshotName(height)).catch((error: unknown) => {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  });
}

function resultOf(
  { place }: Work,
  { manifest }: ManifestFile,
  from: CopiedChunks | undefined,
): CopiedHeight {
  const { height, contentHash, chunks } = manifest;
  const path = join(place.location, snapshotName(height));
  return { height, path, contentHash, written: from !== undefined, chunks, from };
}

/**
 * Does something with one height of the source. If it was not asked for by its height, a fault in it is only told, and
 * counted as a failure, unless it was removed meanwhile.
 */
async function attempt<Result>(
  { chosen, failures, progress }: Work,
  height: number,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    const isFault = error instanceof VerificationError || error instanceof NotFoundError;
    if (chosen.isNamed || !isFault || isExisting(error)) throw error;
    const path = `${chosen.path}/${snapshotName(height)}`;
    progress.note(`${path} is not copied: ${error.message}`);
    if (error instanceof VerificationError) failures.add(height);
    return undefined;
  }
}

function notCopied({ chosen, failures }: Work): VerificationError {
  return new VerificationError('NOT_COPIED', 'not all heights could be copied', {
    path: chosen.path,
    found: `damaged: ${listed([...failures])}`,
    hint: 'the others were copied; check these with swingsnap verify, and make them again or remove them',
  });
}
