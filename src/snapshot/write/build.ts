/** Builds a snapshot from the chunks of modules. */
import { VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import { defaultScratchDir } from '../../io/files/scratch.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { needsLargeWindows, type ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StagedSnapshot } from '../../storage/contract.ts';
import type { Belief } from '../belief.ts';
import { contentHashOf } from '../content-hash.ts';
import { MANIFEST_FILE, snapshotName, type FormatVersion } from '../layout.ts';
import {
  decodeSnapshotManifest,
  encodeSnapshotManifest,
  type SnapshotManifest,
} from '../manifest.ts';
import type { HeldState, StateChunk, StateDescription, UnreadChunk } from '../module-contract.ts';
import { ChunkWriter, type Reused } from './chunk-writer.ts';
import type { EarlierSnapshot } from './earlier.ts';
import { existingSnapshot } from './existing.ts';

export interface WriteSnapshotOptions {
  readonly height: number;
  readonly codec: ZstdCodec;
  /** Version of the format; by default the newest that the codec can write. */
  readonly version?: FormatVersion | undefined;
  /** zstd level, 1 to the codec's `maxLevel`. */
  readonly level: number;
  /** zstd level of chunks of artifacts that are packed together, in version 2; by default as `level`. */
  readonly sharedLevel?: number | undefined;
  /** Most raw bytes of an entry: 4 to 64 MiB. */
  readonly chunkBytes: number;
  /** Whether another snapshot of this height may be replaced. */
  readonly replace: boolean;
  /** Packs chunks; by default this thread. */
  readonly pool?: WorkerPool | undefined;
  /** The snapshot to reuse artifacts and chunks from. */
  readonly earlier?: EarlierSnapshot | undefined;
  /** Whether to hash chunks again before they are reused; by default true. */
  readonly recheck?: boolean | undefined;
  /**
   * Proves that an existing snapshot of this height is the same although the bytes of its manifest differ. Without it,
   * such a snapshot is refused as damaged.
   */
  readonly belief?: Belief | undefined;
  /** For scratch files; by default the system's temporary directory. */
  readonly scratchDir?: string | undefined;
  /** The content hash that the snapshot must have. */
  readonly expect?: string | undefined;
  /** Name and version of the program, for the manifest. */
  readonly madeBy: string;
  /** For the manifest, which does not mention a time without it. */
  readonly madeAt?: Date | undefined;
}

export interface WrittenSnapshot {
  readonly manifest: SnapshotManifest;
  /** SHA-256 of the manifest file. */
  readonly manifestSha256: string;
  /** False if the same snapshot existed already. */
  readonly written: boolean;
  /** What was reused from an earlier snapshot. */
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
      version: versionOf(options),
      sharedLevel: options.sharedLevel ?? options.level,
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

  /** What an earlier snapshot has. */
  get held(): HeldState {
    return this.#chunks;
  }

  /** Adds a module's next chunk; one call per module at a time. Throws as {@link ChunkWriter.add}. */
  async add(module: string, chunk: StateChunk | UnreadChunk): Promise<void> {
    await this.#chunks.add(module, chunk);
  }

  /**
   * Publishes the snapshot, unless the same one exists already.
   * @param states the state of each module, by its name
   * @throws {SwingSnapError} `SNAPSHOT_EXISTS`; {@link VerificationError} `HASH_MISMATCH`
   */
  async finish(states: Readonly<Record<string, StateDescription>>): Promise<WrittenSnapshot> {
    const { reused, ...written } = await this.#chunks.finish();
    const { codec, level, height, expect, madeBy, madeAt, chunkBytes } = this.#options;
    const contentHash = contentHashOf(height, states);
    refuseOtherHash(expect, contentHash);
    const encoded = encodeSnapshotManifest({
      format: 'swingsnap-snapshot',
      version: versionOf(this.#options),
      height,
      contentHash,
      modules: Object.fromEntries(
        Object.keys(states)
          .sort()
          .map((name) => [name, states[name]?.fields]),
      ),
      ...written,
      made: {
        by: madeBy,
        codec: codec.name,
        level,
        ...(versionOf(this.#options) > 1 && {
          sharedLevel: this.#options.sharedLevel ?? level,
        }),
        chunkSize: chunkBytes,
        ...(madeAt !== undefined && { at: madeAt.toISOString() }),
      },
    });
    // Publishes nothing that a reader would refuse.
    const manifest = decodeSnapshotManifest(encoded, MANIFEST_FILE);
    const existing = await existingSnapshot(this.#storage, manifest, this.#options);
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

  /** Removes everything. May be called more than once, and after {@link finish} has failed. */
  async abort(): Promise<void> {
    await this.#chunks.settled();
    await this.#staged.discard();
  }
}

/**
 * The version of the format to write: the newest one, unless it is given, or the codec has no large windows.
 * @throws {UsageError} `ZSTD_CODEC_UNAVAILABLE` if the given one needs them
 */
export function versionOf({
  version,
  codec,
}: Pick<WriteSnapshotOptions, 'version' | 'codec'>): FormatVersion {
  const newest = codec.packPieces === undefined ? 1 : 2;
  if (version === undefined || version <= newest) return version ?? newest;
  throw needsLargeWindows('write this version of the format', codec);
}

/** @throws {VerificationError} `HASH_MISMATCH` */
export function refuseOtherHash(expect: string | undefined, contentHash: string): void {
  if (expect === undefined || expect === contentHash) return;
  throw new VerificationError('HASH_MISMATCH', 'the snapshot would have another contentHash', {
    expected: expect,
    found: contentHash,
    hint: 'check the hash; it covers all modules of a source, so those that are left out change it',
  });
}
