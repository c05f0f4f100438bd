/**
 * `verify --all` and `--sample`: several heights at once, each file that they share read once. `docs/operations.md` says
 * what this proves.
 */
import { randomBytes } from 'node:crypto';
import { NotFoundError, VerificationError } from '../../errors.ts';
import { mapAhead } from '../../io/flow/ahead.ts';
import { listed } from '../../io/listed.ts';
import { noProgress, withinPhase, type Progress } from '../../io/progress.ts';
import { queueFor, withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import { checkingContents } from '../../snapshot/chunk-file.ts';
import { isFaultOfStored } from '../../snapshot/gone.ts';
import { chunkFile, damaged } from '../../snapshot/layout.ts';
import { readManifestFile, type ManifestFile } from '../../snapshot/manifest.ts';
import { bytesOfEntries } from '../../snapshot/module-contract.ts';
import { contentsOf, missingChunk } from '../../snapshot/read/load-chunk.ts';
import { planChunks, type PlannedChunk } from '../../snapshot/read/plan-chunks.ts';
import { hashChunk, refuseOtherCount } from '../../snapshot/read/quick-verify.ts';
import { signatureOf } from '../../snapshot/write/earlier.ts';
import { isSnapshot } from '../../snapshot/write/existing.ts';
import { verifyStored } from '../../source/verify-stored.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { KnownSnapshots } from '../known-snapshots.ts';
import type { OperationOptions } from '../options.ts';
import { chooseHeights, type ChosenHeights, type HeightChoice } from '../place/choose.ts';
import { chooseScratchDir } from '../preflight.ts';
import { PlaceFiles, type FileCount, type PlaceFile } from './place-files.ts';

export interface VerifyPlaceOptions extends OperationOptions, HeightChoice {
  /** Path of a snapshot or a place. */
  readonly source: string;
  /** Takes a random sample of the chunks' bytes instead of everything: above 0, at most 1. */
  readonly sample?: number | undefined;
  /** Of the sample, so that it can be taken again; by default random. */
  readonly seed?: string | undefined;
}

/**
 * How a height was verified: `unpacked` as `verify` does; `known` if this user made it or verified it fully before, so that
 * right hashes of its files prove it; `sampled` if only a part of its files was read.
 */
export type HeightProof = 'unpacked' | 'known' | 'sampled';

export interface VerifiedHeight {
  readonly height: number;
  /** Proved unless it is `sampled`: then the manifest says so. */
  readonly contentHash: string;
  readonly proof: HeightProof;
}

export interface VerifiedPlace {
  /** Absolute path of the snapshot or the place. */
  readonly source: string;
  /** The highest first. */
  readonly heights: readonly VerifiedHeight[];
  /** Files of chunks, each counted once. */
  readonly chunks: FileCount;
  /** Those that were read. */
  readonly read: FileCount;
  readonly sampled: { readonly share: number; readonly seed: string } | undefined;
}

/**
 * Verifies heights of a place. The highest of them is unpacked, and so is each that is not known to this user; of the
 * others each file is hashed, once for all heights that share it. With `sample`, random chunks are unpacked instead.
 * @throws {VerificationError} `DAMAGE` once everything was read, if something is wrong; each damage is noted
 * @throws {NotFoundError} `SNAPSHOT_GONE` if nothing is left to verify; as `chooseHeights`
 */
export async function verifyPlace(options: VerifyPlaceOptions): Promise<VerifiedPlace> {
  return withWorkerPool(options.concurrency, async (pool) => {
    const scratchDir = chooseScratchDir(options.scratchDir);
    const { progress = noProgress, signal } = options;
    const chosen = await chooseHeights({ ...options, scratchDir, note: progress.note });
    const codec = await loadZstdCodec();
    const files = new PlaceFiles(scratchDir);
    try {
      const means = { chosen, files, codec, pool, scratchDir, progress, signal };
      return await new PlaceVerification(means).run(options);
    } finally {
      files.close();
    }
  });
}

interface Means {
  readonly chosen: ChosenHeights;
  readonly files: PlaceFiles;
  readonly codec: ZstdCodec;
  readonly pool: WorkerPool;
  readonly scratchDir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

interface FoundHeight {
  readonly height: number;
  readonly stored: StoredSnapshot;
  readonly file: ManifestFile;
}

class PlaceVerification {
  readonly #means: Means;
  readonly #known = KnownSnapshots.open();
  /** Whose lists are right, by height, the highest first. */
  readonly #found = new Map<number, FoundHeight>();
  readonly #proofs = new Map<number, HeightProof>();
  /** The heights that something is wrong with, and the chunks. */
  readonly #hurt = new Set<number>();
  readonly #badChunks = new Set<string>();

  constructor(means: Means) {
    this.#means = means;
  }

  async run({ sample, seed }: VerifyPlaceOptions): Promise<VerifiedPlace> {
    const { chosen, files } = this.#means;
    await this.#readLists();
    const total = files.total();
    const sampled = sample === undefined ? undefined : { share: sample, seed: seed ?? newSeed() };
    if (sampled !== undefined) files.sample(sampled.share, sampled.seed);
    const unread = files.left();
    if (sampled === undefined) {
      await this.#unpackHeights();
      await this.#hashFiles();
    } else {
      await this.#unpackSample();
    }
    const left = files.left();
    this.#refuseDamage();
    return {
      source: chosen.path,
      heights: this.#results(),
      chunks: total,
      read: { count: unread.count - left.count, size: unread.size - left.size },
      sampled,
    };
  }

  /** Reads all manifests and lists, and looks for the files of the chunks. */
  async #readLists(): Promise<void> {
    const { chosen, progress, signal } = this.#means;
    progress.phase('lists', { items: chosen.heights.length, unit: 'heights' });
    for (const height of chosen.heights) {
      signal?.throwIfAborted();
      await this.#attempt(height, async () => {
        const stored = await chosen.open(height);
        if (!chosen.isNamed && !(await isSnapshot(stored))) return;
        await this.#readList({ height, stored, file: await readManifestFile(stored) });
      });
      progress.advance(0, 1);
    }
  }

  async #readList(found: FoundHeight): Promise<void> {
    const { files, codec } = this.#means;
    const { height, stored, file } = found;
    const counted = { count: 0, size: 0 };
    for await (const { chunk, entries } of planChunks(stored, file.manifest, codec)) {
      const facts = await stored.facts(chunkFile(chunk)).catch(missingChunk(stored, chunk));
      counted.count += 1;
      counted.size += facts.size;
      if (files.add(height, chunk, facts, signatureOf(entries))) continue;
      damaged('the lists of two heights name different entries of one chunk', {
        path: `${stored.location}/${chunkFile(chunk)}`,
      });
    }
    refuseOtherCount(stored, file.manifest, counted);
    this.#found.set(height, found);
  }

  async #unpackHeights(): Promise<void> {
    const { files, progress } = this.#means;
    const unpacked = [...this.#found.values()].filter(
      ({ file }, at) => at === 0 || !this.#known.has(file.sha256),
    );
    const { size } = files.left();
    progress.plan?.([
      ...unpacked.map(({ height, file }) => ({ name: phaseOf(height), bytes: rawBytes(file) })),
      { name: 'chunks', bytes: size },
    ]);
    for (const { height, stored, file } of unpacked) {
      progress.phase(phaseOf(height), { bytes: rawBytes(file) });
      await this.#attempt(height, async () => {
        const { codec, pool, scratchDir, signal } = this.#means;
        const options = { codec, pool, scratchDir, signal };
        await verifyStored(stored, file, { ...options, progress: withinPhase(progress) });
        this.#known.add(file.sha256);
        files.done(height);
        this.#proofs.set(height, 'unpacked');
      });
    }
  }

  /** Hashes the files that were not read yet. They prove the heights that are known. */
  async #hashFiles(): Promise<void> {
    const { files, pool, progress, signal } = this.#means;
    const { count: items, size: bytes } = files.left();
    progress.phase('chunks', { bytes, items, unit: 'chunks' });
    const limits = { ...queueFor(pool), sizeOf: () => 0 };
    for await (const file of mapAhead(files.pending(), limits, async (each) => this.#hash(each))) {
      signal?.throwIfAborted();
      files.doneWith(file);
      progress.advance(file.size, 1);
    }
    for (const height of this.#found.keys()) {
      if (!this.#proofs.has(height)) this.#proofs.set(height, 'known');
    }
  }

  /** By the name that it has in one of its heights: others may have been removed meanwhile. */
  async #hash(file: PlaceFile): Promise<PlaceFile> {
    for (const height of this.#means.files.heightsOf(file)) {
      const found = this.#found.get(height);
      if (found === undefined) continue;
      const { stored, file: manifest } = found;
      const { pool } = this.#means;
      const isRead = await this.#attemptChunk(height, file, async () =>
        hashChunk(stored, file.chunk, manifest.manifest.version, pool),
      );
      if (isRead) break;
    }
    return file;
  }

  async #unpackSample(): Promise<void> {
    const { files, pool, progress, signal } = this.#means;
    const { count: items, size: bytes } = files.left();
    progress.phase('chunks', { bytes, items, unit: 'chunks' });
    const limits = { ...queueFor(pool), sizeOf: () => 0 };
    for (const found of this.#found.values()) {
      const chosen = this.#chosenOf(found);
      const checked = mapAhead(chosen, limits, async ({ file, planned }) => {
        await this.#attemptChunk(found.height, file, async () => this.#unpack(found, planned));
        return file;
      });
      await this.#attempt(found.height, async () => {
        for await (const file of checked) {
          signal?.throwIfAborted();
          files.doneWith(file);
          progress.advance(file.size, 1);
        }
        this.#proofs.set(found.height, 'sampled');
      });
    }
  }

  /** The chunks of the sample that are in this height and were not read in another one. */
  async *#chosenOf({ stored, file: { manifest } }: FoundHeight): AsyncGenerator<{
    readonly file: PlaceFile;
    readonly planned: PlannedChunk;
  }> {
    const { files, codec } = this.#means;
    for await (const planned of planChunks(stored, manifest, codec)) {
      const { chunk } = planned;
      const facts = await stored.facts(chunkFile(chunk)).catch(missingChunk(stored, chunk));
      const file = files.pendingOf(chunk, facts);
      if (file !== undefined) yield { file, planned };
    }
  }

  /** Checks the hash of the file, and each of its entries against the list. */
  async #unpack({ stored, file }: FoundHeight, planned: PlannedChunk): Promise<void> {
    const { codec, pool } = this.#means;
    const all = planned.entries.map(() => true);
    const { version } = file.manifest;
    const { recipe } = await contentsOf(stored, codec, planned, all, version);
    const size = bytesOfEntries(planned.entries);
    await pool.run(checkingContents, recipe, bytesIn(recipe.input), size);
  }

  /** Notes a fault in a height, or that it was removed meanwhile. */
  async #attempt(height: number, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isFaultOfStored(error)) throw error;
      this.#noteFault(height, error);
    }
  }

  /** Notes a fault in the file of a chunk. @returns false if the height was removed meanwhile */
  async #attemptChunk(
    height: number,
    file: PlaceFile,
    work: () => Promise<unknown>,
  ): Promise<boolean> {
    const { files, progress } = this.#means;
    try {
      await work();
    } catch (error) {
      if (!isFaultOfStored(error)) throw error;
      if (error instanceof NotFoundError) {
        this.#noteFault(height, error);
        return false;
      }
      const heights = files.heightsOf(file);
      this.#badChunks.add(file.chunk);
      for (const each of heights) this.#hurt.add(each);
      progress.note(`chunk ${file.chunk} of heights ${heights.join(', ')}: ${error.message}`);
    }
    return true;
  }

  #noteFault(height: number, error: Error): void {
    const { chosen, progress } = this.#means;
    const isGone = error instanceof NotFoundError;
    if (isGone && chosen.isNamed) throw error;
    if (isGone) this.#found.delete(height);
    else this.#hurt.add(height);
    const path = error instanceof VerificationError ? error.path : undefined;
    const where = path === undefined ? '' : `: ${path}`;
    progress.note(`height ${height}: ${error.message}${where}`);
  }

  #refuseDamage(): void {
    const { chosen } = this.#means;
    if (this.#hurt.size === 0) return;
    const chunks = [...this.#badChunks];
    const heights = [...this.#hurt].sort((a, b) => b - a);
    throw new VerificationError('DAMAGE', `${heights.length} of the heights are damaged`, {
      path: chosen.path,
      expected: 'no damage',
      found: `heights ${listed(heights)}${chunks.length === 0 ? '' : `; chunks ${listed(chunks)}`}`,
      hint: 'do not use these heights: get them again with swingsnap copy --replace, or make new ones with swingsnap retrieve',
    });
  }

  #results(): VerifiedHeight[] {
    return [...this.#found.values()].map(({ height, file }) => ({
      height,
      contentHash: file.manifest.contentHash,
      proof: this.#proofs.get(height) ?? 'sampled',
    }));
  }
}

function phaseOf(height: number): string {
  return `height ${height}`;
}

function rawBytes({ manifest }: ManifestFile): number {
  const { exportData, artifacts } = manifest.modules.swingset;
  return exportData.size + artifacts.size;
}

function newSeed(): string {
  return randomBytes(4).toString('hex');
}
