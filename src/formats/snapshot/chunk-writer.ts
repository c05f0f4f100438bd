/** Entries become chunks, several at a time; chunks become files, and lines of the list of entries, in order. */
import { createHash } from 'node:crypto';
import { SwingSnapError, VerificationError } from '../../errors.ts';
import { InOrder } from '../../io/in-order.ts';
import { itemsAhead, type WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StagedFile, StagedSnapshot } from '../../storage/contract.ts';
import { EntriesWriter, type SnapshotArtifact } from './entries.ts';
import { chunkFile, ENTRIES_FILE } from './layout.ts';
import { packing, type EntryDigest, type RawEntry } from './pack-chunk.ts';

export interface ChunkWriterOptions {
  readonly codec: ZstdCodec;
  /** zstd level. */
  readonly level: number;
  readonly pool: WorkerPool;
}

/** An entry that is not in a chunk yet. */
export interface PendingEntry extends RawEntry {
  /** On the last (or only) entry of an artifact. */
  readonly artifact?: SnapshotArtifact | undefined;
}

/** What was written, in bytes. */
export interface WrittenChunks {
  readonly entries: { readonly count: number; readonly size: number; readonly sha256: string };
  readonly chunks: { readonly count: number; readonly size: number };
}

interface StoredChunk {
  readonly chunk: string;
  readonly size: number;
  readonly entries: readonly EntryDigest[];
  readonly artifacts: readonly (SnapshotArtifact | undefined)[];
}

export class ChunkWriter {
  readonly #staged: StagedSnapshot;
  readonly #options: ChunkWriterOptions;
  readonly #stored: InOrder<StoredChunk>;
  readonly #lines: EntriesWriter;
  readonly #hash = createHash('sha256');
  #file: StagedFile | undefined;
  #size = 0;
  readonly #chunks = { count: 0, size: 0 };

  constructor(staged: StagedSnapshot, options: ChunkWriterOptions) {
    this.#staged = staged;
    this.#options = options;
    this.#lines = new EntriesWriter(options.codec, options.level);
    this.#stored = new InOrder(itemsAhead(options.pool), async (stored) => this.#list(stored));
  }

  /**
   * Adds a chunk of these entries, whose bytes are given away. Waits while too many are under way, and throws what
   * went wrong with any before it.
   * @throws {VerificationError} `DUPLICATE_ARTIFACT`
   */
  async add(entries: readonly PendingEntry[]): Promise<void> {
    await this.#stored.add(this.#store(entries));
  }

  async #store(pending: readonly PendingEntry[]): Promise<StoredChunk> {
    const { codec, level, pool } = this.#options;
    const artifacts = pending.map(({ artifact }) => artifact);
    const raw = pending.map(({ name, data, sha256 }) => ({ name, data, sha256 }));
    const gives = raw.map(({ data }) => data);
    const packed = await pool.run(packing, { entries: raw, codec: codec.name, level }, gives);
    const { chunk, bytes, entries } = packed;
    await this.#staged.put(chunkFile(chunk), bytes).catch((cause: unknown) => {
      // Names are part of a chunk's bytes: the same chunk again is the same artifact again.
      if (!(cause instanceof SwingSnapError) || cause.code !== 'FILE_EXISTS') throw cause;
      throw new VerificationError('DUPLICATE_ARTIFACT', 'the export lists an artifact twice', {
        path: artifacts[0]?.name ?? entries[0]?.name,
        cause,
      });
    });
    return { chunk, size: bytes.length, entries, artifacts };
  }

  async #list({ chunk, size, entries, artifacts }: StoredChunk): Promise<void> {
    this.#chunks.count += 1;
    this.#chunks.size += size;
    for (const [at, { name, size, sha256 }] of entries.entries()) {
      const artifact = artifacts[at];
      const line = { chunk, name, size, sha256, ...(artifact === undefined ? {} : { artifact }) };
      await this.#writeFrame(this.#lines.add(line));
    }
  }

  async #writeFrame(frame: Uint8Array | undefined): Promise<void> {
    if (frame === undefined) return;
    this.#file ??= await this.#staged.create(ENTRIES_FILE);
    await this.#file.write(frame);
    this.#hash.update(frame);
    this.#size += frame.length;
  }

  /** Ends the list. Throws as {@link add}. */
  async finish(): Promise<WrittenChunks> {
    await this.#stored.end();
    await this.#writeFrame(this.#lines.finish());
    await this.#file?.close();
    const { count } = this.#lines;
    const entries = { count, size: this.#size, sha256: this.#hash.digest('hex') };
    return { entries, chunks: { ...this.#chunks } };
  }

  /** Waits until nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#stored.settled();
  }
}
