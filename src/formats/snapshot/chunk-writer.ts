/**
 * Entries become chunks, several at a time; chunks become files, and lines of the list of entries, in order. A chunk
 * that an earlier snapshot has is taken over from it.
 */
import { createHash } from 'node:crypto';
import { SwingSnapError, VerificationError } from '../../errors.ts';
import { hashing } from '../../io/digest.ts';
import { InOrder } from '../../io/in-order.ts';
import { queueFor, type WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StagedFile, StagedSnapshot } from '../../storage/contract.ts';
import type { EarlierSnapshot } from './earlier.ts';
import { EntriesWriter, type SnapshotArtifact } from './entries.ts';
import { chunkFile, ENTRIES_FILE, MAX_CHUNK_FILE_BYTES } from './layout.ts';
import { digesting, packing, type EntryDigest } from './pack-chunk.ts';

export interface ChunkWriterOptions {
  readonly codec: ZstdCodec;
  /** zstd level. */
  readonly level: number;
  readonly pool: WorkerPool;
  /** What chunks are taken over from. */
  readonly earlier?: EarlierSnapshot | undefined;
  /** Whether a chunk is hashed again before it is taken over. */
  readonly recheck: boolean;
}

/** An entry that is not in a chunk yet. */
export interface PendingEntry {
  /** Undefined for a segment of export data, which is named by its hash. */
  readonly name: string | undefined;
  /** Its bytes, or where to get them if an earlier snapshot turns out not to have them. */
  readonly data: Uint8Array | (() => Promise<Uint8Array>);
  readonly size: number;
  /** Known, or else hashed on the way. */
  readonly sha256?: string | undefined;
  /** On the last (or only) entry of an artifact. */
  readonly artifact?: SnapshotArtifact | undefined;
}

/** What was taken over from an earlier snapshot. */
export interface Reused {
  readonly chunks: number;
  /** Bytes of their files. */
  readonly size: number;
  /** How many of them were hashed again. */
  readonly rechecked: number;
}

/** What was written, in bytes. */
export interface WrittenChunks {
  readonly entries: { readonly count: number; readonly size: number; readonly sha256: string };
  readonly chunks: { readonly count: number; readonly size: number };
  readonly reused: Reused;
}

interface StoredChunk {
  readonly chunk: string;
  readonly size: number;
  readonly isReused: boolean;
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
  readonly #reused = { chunks: 0, size: 0, rechecked: 0 };

  constructor(staged: StagedSnapshot, options: ChunkWriterOptions) {
    this.#staged = staged;
    this.#options = options;
    this.#lines = new EntriesWriter(options.codec, options.level);
    this.#stored = new InOrder(queueFor(options.pool), async (stored) => this.#list(stored));
  }

  /**
   * Adds a chunk of these entries, whose bytes are given away. Waits while too many are under way, and throws what
   * went wrong with any before it.
   * @throws {VerificationError} `DUPLICATE_ARTIFACT`
   */
  async add(entries: readonly PendingEntry[]): Promise<void> {
    const bytes = entries.reduce((sum, { size }) => sum + size, 0);
    await this.#stored.add(this.#store(entries), bytes);
  }

  /**
   * Adds a chunk of one entry if the earlier snapshot has it.
   * @returns false if it has not, and nothing was added
   */
  async addHeld(entry: EntryDigest, artifact: SnapshotArtifact | undefined): Promise<boolean> {
    const stored = await this.#takeOver([entry], [artifact]);
    if (stored === undefined) return false;
    await this.#stored.add(Promise.resolve(stored), 0);
    return true;
  }

  async #store(pending: readonly PendingEntry[]): Promise<StoredChunk> {
    const artifacts = pending.map(({ artifact }) => artifact);
    const entries = this.#options.earlier === undefined ? pending : await this.#digested(pending);
    const known = entries.every(isDigested) ? await this.#takeOver(entries, artifacts) : undefined;
    return known ?? this.#pack(entries, artifacts);
  }

  /** With names and hashes, by which an earlier chunk can be found. */
  async #digested(pending: readonly PendingEntry[]): Promise<readonly PendingEntry[]> {
    return Promise.all(
      pending.map(async (entry) => {
        const { name, data, sha256 } = entry;
        if (data instanceof Function || (name !== undefined && sha256 !== undefined)) return entry;
        const digested = await this.#options.pool.run(digesting, { name, data, sha256 }, [data]);
        return { ...entry, ...digested };
      }),
    );
  }

  async #takeOver(
    entries: readonly EntryDigest[],
    artifacts: StoredChunk['artifacts'],
  ): Promise<StoredChunk | undefined> {
    const { earlier, recheck, pool } = this.#options;
    const chunk = earlier?.chunkOf(entries);
    if (earlier === undefined || chunk === undefined) return undefined;
    const accept = async (bytes: Uint8Array): Promise<boolean> =>
      (await pool.run(hashing, bytes, [bytes])) === chunk;
    const size = await this.#staged
      .adopt(chunkFile(chunk), earlier.stored, MAX_CHUNK_FILE_BYTES, recheck ? accept : undefined)
      .catch(refuseDuplicate(entries, artifacts));
    if (size === undefined) return undefined;
    const digests = entries.map(({ name, size, sha256 }) => ({ name, size, sha256 }));
    return { chunk, size, isReused: true, entries: digests, artifacts };
  }

  async #pack(
    pending: readonly PendingEntry[],
    artifacts: StoredChunk['artifacts'],
  ): Promise<StoredChunk> {
    const { codec, level, pool } = this.#options;
    const raw = await Promise.all(
      pending.map(async ({ name, data, sha256 }) => ({
        name,
        data: data instanceof Function ? await data() : data,
        sha256,
      })),
    );
    const gives = raw.map(({ data }) => data);
    const packed = await pool.run(packing, { entries: raw, codec: codec.name, level }, gives);
    const { chunk, bytes, entries } = packed;
    const size = bytes.length;
    await this.#staged.put(chunkFile(chunk), bytes).catch(refuseDuplicate(entries, artifacts));
    return { chunk, size, isReused: false, entries, artifacts };
  }

  async #list({ chunk, size, isReused, entries, artifacts }: StoredChunk): Promise<void> {
    this.#chunks.count += 1;
    this.#chunks.size += size;
    if (isReused) {
      this.#reused.chunks += 1;
      this.#reused.size += size;
      this.#reused.rechecked += this.#options.recheck ? 1 : 0;
    }
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
    return { entries, chunks: { ...this.#chunks }, reused: { ...this.#reused } };
  }

  /** Waits until nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#stored.settled();
  }
}

function isDigested(entry: PendingEntry): entry is PendingEntry & EntryDigest {
  return entry.name !== undefined && entry.sha256 !== undefined;
}

/** Names are part of a chunk's bytes: the same chunk again is the same artifact again. */
function refuseDuplicate(
  entries: readonly EntryDigest[],
  artifacts: StoredChunk['artifacts'],
): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof SwingSnapError) || cause.code !== 'FILE_EXISTS') throw cause;
    throw new VerificationError('DUPLICATE_ARTIFACT', 'the export lists an artifact twice', {
      path: artifacts[0]?.name ?? entries[0]?.name,
      cause,
    });
  };
}
