/** Builds a snapshot from the chunks of modules: entries become chunks, chunks become files. */
import { sha256Hex } from '../../io/bytes/digest.ts';
import { defaultScratchDir } from '../../io/files/scratch.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StagedSnapshot } from '../../storage/contract.ts';
import type { Belief } from '../belief.ts';
import { contentHashOf } from '../content-hash.ts';
import { MANIFEST_FILE, snapshotName } from '../layout.ts';
import {
  decodeSnapshotManifest,
  encodeSnapshotManifest,
  type SnapshotManifest,
} from '../manifest.ts';
import type { HeldState, StateChunk, StateDescription } from '../module-contract.ts';
import { ChunkWriter, type Reused } from './chunk-writer.ts';
import type { EarlierSnapshot } from './earlier.ts';
import { existingSnapshot } from './existing.ts';

export interface WriteSnapshotOptions {
  readonly height: number;
  readonly codec: ZstdCodec;
  /** zstd level, 1 to the codec's `maxLevel`. */
  readonly level: number;
  /** Raw bytes of an entry at most: 4 to 64 MiB. */
  readonly chunkBytes: number;
  /** Whether another snapshot of this height may be replaced. */
  readonly replace: boolean;
  /** Packs chunks; by default this thread does. */
  readonly pool?: WorkerPool | undefined;
  /** What need not be read or packed again is taken over from it. */
  readonly earlier?: EarlierSnapshot | undefined;
  /** Whether chunks are hashed again before they are taken over; by default they are. */
  readonly recheck?: boolean | undefined;
  /**
   * Proves that a snapshot of this height which is there already is the same, where its manifest has other bytes.
   * Without it, such a snapshot is refused as one that is damaged.
   */
  readonly belief?: Belief | undefined;
  /** For scratch files; by default the system's temporary directory. */
  readonly scratchDir?: string | undefined;
  /** Name and version of the program, for the manifest. */
  readonly madeBy: string;
}

export interface WrittenSnapshot {
  readonly manifest: SnapshotManifest;
  /** SHA-256 of the manifest's file. */
  readonly manifestSha256: string;
  /** False when the very same snapshot was there already. */
  readonly written: boolean;
  /** What was taken over from an earlier snapshot. */
  readonly reused: Reused;
}

export class SnapshotBuilder {
  readonly #storage: SnapshotStorage;
  readonly #staged: StagedSnapshot;
  readonly #options: WriteSnapshotOptions;
  readonly #chunks: ChunkWriter;

  private constructor(
    storage: SnapshotStorage,
    staged: StagedSnapshot,
    modules: readonly string[],
    options: WriteSnapshotOptions,
  ) {
    const { pool = inlinePool, recheck = true, scratchDir = defaultScratchDir() } = options;
    this.#storage = storage;
    this.#staged = staged;
    this.#options = options;
    this.#chunks = new ChunkWriter(staged, [...modules].sort(), {
      ...options,
      pool,
      recheck,
      scratchDir,
    });
  }

  /** Starts a snapshot of these modules in `storage`. */
  static async start(
    storage: SnapshotStorage,
    modules: readonly string[],
    options: WriteSnapshotOptions,
  ): Promise<SnapshotBuilder> {
    const staged = await storage.stage(snapshotName(options.height));
    return new SnapshotBuilder(storage, staged, modules, options);
  }

  /** What earlier snapshots have. */
  get held(): HeldState {
    return this.#chunks;
  }

  /** Adds a module's next chunk; one call for each module at a time. Throws as {@link ChunkWriter.add}. */
  async add(module: string, chunk: StateChunk): Promise<void> {
    await this.#chunks.add(module, chunk);
  }

  /**
   * Publishes it, unless the same is there already.
   * @param states what the chunks of each module were, by its name
   * @throws {SwingSnapError} `SNAPSHOT_EXISTS`
   */
  async finish(states: Readonly<Record<string, StateDescription>>): Promise<WrittenSnapshot> {
    const { reused, ...written } = await this.#chunks.finish();
    const { codec, level, height, madeBy, chunkBytes } = this.#options;
    const encoded = encodeSnapshotManifest({
      format: 'swingsnap-snapshot',
      version: 1,
      height,
      contentHash: contentHashOf(height, states),
      modules: Object.fromEntries(
        Object.keys(states)
          .sort()
          .map((name) => [name, states[name]?.fields]),
      ),
      ...written,
      made: { by: madeBy, codec: codec.name, level, chunkSize: chunkBytes },
    });
    // What no reader would take is not published.
    const manifest = decodeSnapshotManifest(encoded, MANIFEST_FILE);
    const existing = await existingSnapshot(this.#storage, { manifest, encoded }, this.#options);
    if (existing !== undefined) {
      await this.#staged.discard();
      return {
        manifest: existing.manifest,
        manifestSha256: existing.sha256,
        written: false,
        reused,
      };
    }
    await this.#staged.put(MANIFEST_FILE, encoded);
    await this.#staged.publish(this.#options.replace);
    return { manifest, manifestSha256: sha256Hex(encoded), written: true, reused };
  }

  /** Leaves nothing. May be called again, and after {@link finish} has failed. */
  async abort(): Promise<void> {
    await this.#chunks.settled();
    await this.#staged.discard();
  }
}
