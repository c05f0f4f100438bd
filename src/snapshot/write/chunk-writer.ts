/**
 * Packs entries into chunks, several at a time, and writes chunks to files. Reuses the chunks of an earlier snapshot.
 * Each module has a section of the list of entries, in the order of its chunks, whichever chunk is ready first.
 */
import { SwingSnapError, VerificationError } from '../../errors.ts';
import type { ExpansionLimit } from '../../io/bytes/expansion-limit.ts';
import { InOrder } from '../../io/flow/in-order.ts';
import { queueFor, type WorkerPool } from '../../io/threads/pool.ts';
import type { Recipe } from '../../io/threads/recipe.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StagedSnapshot } from '../../storage/contract.ts';
import { digesting, digestingFile, packing } from '../chunk-file.ts';
import { limitOfWriter } from '../expansion.ts';
import { chunkFile, MAX_CHUNK_FILE_BYTES } from '../layout.ts';
import {
  bytesOfEntries,
  type EntryDigest,
  type HeldArtifact,
  type HeldState,
  type StateArtifact,
  type StateChunk,
  type StateEntry,
} from '../module-contract.ts';
import { signatureOf, type EarlierSnapshot } from './earlier.ts';
import { EntriesFile } from './entries-file.ts';
import { refuseUnreadableChunk } from './refuse-chunk.ts';

export interface ChunkWriterOptions {
  readonly codec: ZstdCodec;
  /** zstd level. */
  readonly level: number;
  readonly pool: WorkerPool;
  /** The snapshot to reuse chunks from. */
  readonly earlier?: EarlierSnapshot | undefined;
  /** Whether to hash a chunk again before it is reused. */
  readonly recheck: boolean;
  /** Where the lines of all sections but the first wait. */
  readonly scratchDir: string;
}

/** What was reused from an earlier snapshot. */
export interface Reused {
  readonly chunks: number;
  /** Total size of their files, in bytes. */
  readonly size: number;
  /** How many of them were hashed again. */
  readonly rechecked: number;
}

/** What was written. Sizes in bytes. */
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
  readonly artifacts: readonly (StateArtifact | undefined)[];
}

export class ChunkWriter implements HeldState {
  readonly #staged: StagedSnapshot;
  readonly #options: ChunkWriterOptions;
  readonly #sections: ReadonlyMap<string, InOrder<StoredChunk>>;
  readonly #list: EntriesFile;
  /** Reused chunks that wait for their place in the list, by the signature of their entries. */
  readonly #taken = new Map<string, StoredChunk>();
  readonly #chunks = { count: 0, size: 0 };
  readonly #limit: ExpansionLimit;
  readonly #reused = { chunks: 0, size: 0, rechecked: 0 };

  /** @param modules in the order of their sections */
  constructor(staged: StagedSnapshot, modules: readonly string[], options: ChunkWriterOptions) {
    this.#staged = staged;
    this.#options = options;
    this.#limit = limitOfWriter();
    this.#list = new EntriesFile(staged, modules, options);
    const { items, bytes } = queueFor(options.pool);
    // All sections together hold no more than a single one would.
    const limits = { items, bytes: bytes / modules.length };
    this.#sections = new Map(
      modules.map((name) => [
        name,
        new InOrder<StoredChunk>(limits, async (stored) => this.#enlist(name, stored)),
      ]),
    );
  }

  artifact(module: string, identity: string): HeldArtifact | undefined {
    return this.#options.earlier?.artifact(module, identity);
  }

  async take(entries: readonly EntryDigest[]): Promise<boolean> {
    const stored = await this.#takeOver(entries, []);
    if (stored === undefined) return false;
    this.#taken.set(signatureOf(entries), stored);
    return true;
  }

  /**
   * Adds a module's next chunk and takes its bytes. Waits while too many chunks are in progress, and throws the error of
   * any earlier chunk.
   * @throws {VerificationError} `DUPLICATE_ARTIFACT`; {@link SwingSnapError} `MODULE_CHUNK` if readers would refuse it
   */
  async add(module: string, { entries }: StateChunk): Promise<void> {
    const bytes = bytesOfEntries(entries);
    await this.#sections.get(module)?.add(this.#store(entries), bytes);
  }

  async #store(pending: readonly StateEntry[]): Promise<StoredChunk> {
    const artifacts = pending.map(({ artifact }) => artifact);
    const entries = this.#options.earlier === undefined ? pending : await this.#digested(pending);
    const known = entries.every(isDigested) ? await this.#takeOver(entries, artifacts) : undefined;
    return known ?? this.#pack(entries, artifacts);
  }

  /** Adds the names and hashes by which an earlier chunk can be found. */
  async #digested(pending: readonly StateEntry[]): Promise<readonly StateEntry[]> {
    return Promise.all(
      pending.map(async (entry) => {
        const { name, data, sha256 } = entry;
        if (data instanceof Function || isDigested(entry)) return entry;
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
    if (earlier === undefined) return undefined;
    const signature = signatureOf(entries);
    const taken = this.#taken.get(signature);
    if (taken !== undefined) {
      this.#taken.delete(signature);
      return { ...taken, artifacts };
    }
    const chunk = earlier.chunkOf(signature);
    if (chunk === undefined) return undefined;
    const accept = async (file: Recipe<Uint8Array>): Promise<boolean> => {
      const gives = bytesIn(file.input);
      const { sha256 } = await pool.run(digestingFile, file, gives, MAX_CHUNK_FILE_BYTES);
      return sha256 === chunk;
    };
    const size = await this.#staged
      .adopt(chunkFile(chunk), earlier.stored, MAX_CHUNK_FILE_BYTES, recheck ? accept : undefined)
      .catch(refuseDuplicate(entries, artifacts));
    if (size === undefined) {
      earlier.tellUnusable(chunk);
      return undefined;
    }
    const digests = entries.map(({ name, size, sha256 }) => ({ name, size, sha256 }));
    return { chunk, size, isReused: true, entries: digests, artifacts };
  }

  async #pack(
    pending: readonly StateEntry[],
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

  async #enlist(
    module: string,
    { chunk, size, isReused, entries, artifacts }: StoredChunk,
  ): Promise<void> {
    refuseUnreadableChunk(module, entries, artifacts);
    this.#chunks.count += 1;
    this.#chunks.size += size;
    this.#limit.taken += size;
    this.#limit.give(entries.reduce((sum, entry) => sum + entry.size, 0));
    if (isReused) {
      this.#reused.chunks += 1;
      this.#reused.size += size;
      this.#reused.rechecked += this.#options.recheck ? 1 : 0;
    }
    for (const [at, { name, size, sha256 }] of entries.entries()) {
      const artifact = artifacts[at];
      const line = { chunk, name, size, sha256, ...(artifact === undefined ? {} : { artifact }) };
      await this.#list.add(module, line);
    }
  }

  /** Ends the list. Throws as {@link add}. */
  async finish(): Promise<WrittenChunks> {
    for (const section of this.#sections.values()) await section.end();
    const entries = await this.#list.finish();
    return { entries, chunks: { ...this.#chunks }, reused: { ...this.#reused } };
  }

  /** Waits until all writing has ended, then frees the list. */
  async settled(): Promise<void> {
    for (const section of this.#sections.values()) await section.settled();
    this.#list.close();
  }
}

function isDigested(entry: StateEntry): entry is StateEntry & EntryDigest {
  return typeof entry.name === 'string' && entry.sha256 !== undefined;
}

/** Names are part of a chunk's bytes, so a repeated chunk is a repeated artifact. */
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
