/**
 * Packs entries into chunks, several at a time, and writes chunks to files. Reuses the chunks of an earlier snapshot.
 * Each module has a section of the list of entries, in the order of its chunks, whichever chunk is ready first.
 */
import { SwingSnapError, VerificationError } from '../../errors.ts';
import type { ExpansionLimit } from '../../io/bytes/expansion-limit.ts';
import { InOrder } from '../../io/flow/in-order.ts';
import { Slots } from '../../io/flow/slots.ts';
import { queueFor, type WorkerPool } from '../../io/threads/pool.ts';
import { bytesHeldBy, type Recipe } from '../../io/threads/recipe.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { Pieces, StagedSnapshot, StagedSpot } from '../../storage/contract.ts';
import type {
  ArtifactDigest,
  ExpectedArtifact,
} from '../../swing-store-export/swing-store-export.ts';
import { digestingFile, windowLogFor } from '../chunk-file.ts';
import { limitOfWriter } from '../expansion.ts';
import { chunkFile, maxChunkFileBytes, type FormatVersion } from '../layout.ts';
import {
  bytesOfEntries,
  type EntryDigest,
  type HeldArtifact,
  type HeldState,
  type StateArtifact,
  type StateChunk,
  type StateEntry,
  type UnreadChunk,
} from '../module-contract.ts';
import { tarBytes } from '../tar.ts';
import { signatureOf, type EarlierSnapshot, type KeepableChunk } from './earlier.ts';
import { EntriesFile } from './entries-file.ts';
import { digesting, packing, packingShared, type PackedShared } from './pack-chunk.ts';
import { refuseUnreadableChunk } from './refuse-chunk.ts';

export interface ChunkWriterOptions {
  readonly codec: ZstdCodec;
  /** Version of the format. */
  readonly version: FormatVersion;
  /** zstd level. */
  readonly level: number;
  /** zstd level of chunks of artifacts that are packed together. */
  readonly sharedLevel: number;
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

/** Bytes of a chunk's file, about: a thread that hashes it is worth its start. */
const RECHECK_BYTES = 16 * 1024 * 1024;

interface KeptChunk {
  readonly module: string;
  readonly kept: KeepableChunk;
  /** Of its file, in bytes. */
  readonly size: number;
}

/** A chunk that was packed, and is not part of the snapshot yet. */
interface PackedOnce extends PackedShared {
  readonly keep: () => Promise<void>;
  readonly drop: () => Promise<void>;
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
  readonly #sections: ReadonlyMap<string, InOrder<StoredChunk | undefined>>;
  readonly #list: EntriesFile;
  /** Reused chunks that wait for their place in the list, by the signature of their entries. */
  readonly #taken = new Map<string, StoredChunk>();
  readonly #kept: KeptChunk[] = [];
  /** Recipes may hold the blobs of their artifacts, so only those that a thread can follow now are made. */
  readonly #slots: Slots;
  readonly #chunks = { count: 0, size: 0 };
  readonly #limit: ExpansionLimit;
  readonly #reused = { chunks: 0, size: 0, rechecked: 0 };

  /** @param modules in the order of their sections */
  constructor(staged: StagedSnapshot, modules: readonly string[], options: ChunkWriterOptions) {
    this.#staged = staged;
    this.#options = options;
    this.#limit = limitOfWriter();
    this.#slots = new Slots(Math.max(1, options.pool.concurrency));
    this.#list = new EntriesFile(staged, modules, options);
    const { items, bytes } = queueFor(options.pool);
    // All sections together hold no more than a single one would.
    const limits = { items, bytes: bytes / modules.length };
    this.#sections = new Map(
      modules.map((name) => [
        name,
        new InOrder<StoredChunk | undefined>(limits, async (stored) => {
          if (stored !== undefined) await this.#enlist(name, stored);
        }),
      ]),
    );
  }

  artifact(module: string, identity: string): HeldArtifact | undefined {
    return this.#options.earlier?.artifact(module, identity, this.#options.version !== 1);
  }

  async keep(module: string, wanted: Iterable<ExpectedArtifact>): Promise<void> {
    const { earlier, pool, version } = this.#options;
    if (earlier === undefined || version === 1) return;
    const adopting = new InOrder<() => void>(queueFor(pool), (take) => {
      take();
    });
    for (const kept of earlier.keepable(module, wanted)) {
      const adopted = this.#adopt(kept.chunk).then((size) => () => {
        if (size === undefined) return;
        earlier.keep(module, kept);
        this.#kept.push({ module, kept, size });
      });
      await adopting.add(adopted, 0);
    }
    await adopting.end();
  }

  use(module: string, artifact: ExpectedArtifact): boolean {
    return this.#options.earlier?.use(module, artifact) ?? false;
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
  async add(module: string, added: StateChunk | UnreadChunk): Promise<void> {
    const section = this.#sections.get(module);
    // What is unread takes no memory here.
    if ('artifacts' in added) await section?.add(this.#packUnread(added), 0);
    else await section?.add(this.#store(added.entries), bytesOfEntries(added.entries));
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
    const { earlier } = this.#options;
    if (earlier === undefined) return undefined;
    const signature = signatureOf(entries);
    const taken = this.#taken.get(signature);
    if (taken !== undefined) {
      this.#taken.delete(signature);
      return { ...taken, artifacts };
    }
    const chunk = earlier.chunkOf(signature);
    if (chunk === undefined) return undefined;
    const size = await this.#adopt(chunk).catch(refuseDuplicate(entries, artifacts));
    if (size === undefined) return undefined;
    const digests = entries.map(({ name, size, sha256 }) => ({ name, size, sha256 }));
    return { chunk, size, isReused: true, entries: digests, artifacts };
  }

  /** Adds the file of an earlier chunk. @returns its size in bytes; undefined if it cannot be used */
  async #adopt(chunk: string): Promise<number | undefined> {
    const { earlier, recheck, pool, version } = this.#options;
    if (earlier === undefined) return undefined;
    const accept = async (file: Recipe<Pieces>): Promise<boolean> => {
      const { sha256 } = await pool.run(digestingFile, file, bytesIn(file.input), RECHECK_BYTES);
      return sha256 === chunk;
    };
    const size = await this.#staged.adopt(
      chunkFile(chunk),
      earlier.stored,
      maxChunkFileBytes(version),
      recheck ? accept : undefined,
    );
    if (size === undefined) earlier.tellUnusable(chunk);
    return size;
  }

  /** Lets a thread read artifacts and pack them. @returns undefined if all of them were too large */
  async #packUnread(unread: UnreadChunk): Promise<StoredChunk | undefined> {
    try {
      const packed = await this.#packShared(unread);
      const { chunk, size, digests } = packed;
      const entries = entriesOf(unread, digests);
      if (entries.length === 0) await packed.drop();
      else await packed.keep();
      unread.wereRead(digests);
      if (entries.length === 0) return undefined;
      const artifacts = unread.artifacts.flatMap(({ name, identity }, at) => {
        const digest = digests[at];
        return digest === undefined ? [] : [{ name, ...digest, identity }];
      });
      return { chunk, size, isReused: false, entries, artifacts };
    } catch (error) {
      unread.failed(error);
      throw error;
    }
  }

  async #packShared(unread: UnreadChunk): Promise<PackedOnce> {
    const known = await knownTarBytes(unread);
    const packed = await this.#slots.run(async () => this.#packOnce(unread, known));
    const size = await tarBytes(entriesOf(unread, packed.digests));
    if (packed.windowLog <= windowLogFor(size)) return packed;
    // A store has told the wrong size of a heap snapshot. Readers refuse a larger window than a chunk needs.
    await packed.drop();
    return this.#slots.run(async () => this.#packOnce(unread, size));
  }

  /** @param size bytes of the tar, if known */
  async #packOnce(unread: UnreadChunk, size: number | undefined): Promise<PackedOnce> {
    const { codec, sharedLevel: level, pool } = this.#options;
    const names = unread.artifacts.map(({ entry }) => entry);
    const contents = await unread.recipes();
    const spot = this.#staged.spot?.();
    const shared = { contents, names, size, codec: codec.name, level, writer: spot?.writer };
    const gives = bytesHeldBy(contents);
    const packed = await pool.run(packingShared, shared, gives, size ?? RECHECK_BYTES);
    return {
      ...packed,
      keep: async () => this.#keepPacked(packed, spot),
      drop: async () => spot?.remove(),
    };
  }

  async #keepPacked({ chunk, bytes }: PackedShared, spot: StagedSpot | undefined): Promise<void> {
    if (bytes === undefined) await spot?.name(chunkFile(chunk));
    else await this.#staged.put(chunkFile(chunk), bytes);
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
    refuseUnreadableChunk(module, entries, artifacts, this.#options.version);
    this.#count(size, entries);
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

  #count(size: number, entries: readonly EntryDigest[]): void {
    this.#chunks.count += 1;
    this.#chunks.size += size;
    this.#limit.taken += size;
    this.#limit.give(bytesOfEntries(entries));
  }

  async #enlistKept({ module, kept, size }: KeptChunk): Promise<void> {
    const lines = this.#options.earlier?.linesOf(module, kept) ?? [];
    if (lines.every(({ unused }) => unused === true)) {
      // The export has records of its artifacts, but not the artifacts.
      await this.#staged.remove(chunkFile(kept.chunk));
      return;
    }
    this.#count(size, lines);
    this.#reused.chunks += 1;
    this.#reused.size += size;
    this.#reused.rechecked += this.#options.recheck ? 1 : 0;
    for (const line of lines) await this.#list.add(module, line);
  }

  /** Ends the list. Throws as {@link add}. */
  async finish(): Promise<WrittenChunks> {
    for (const section of this.#sections.values()) await section.end();
    for (const kept of this.#kept) await this.#enlistKept(kept);
    const entries = await this.#list.finish();
    return { entries, chunks: { ...this.#chunks }, reused: { ...this.#reused } };
  }

  /** Waits until all writing has ended, then frees the list. */
  async settled(): Promise<void> {
    for (const section of this.#sections.values()) await section.settled();
    this.#list.close();
  }
}

/** The entries of a chunk: those of the artifacts that are in it. */
function entriesOf(
  { artifacts }: UnreadChunk,
  digests: readonly (ArtifactDigest | undefined)[],
): EntryDigest[] {
  return artifacts.flatMap(({ entry: name }, at) => {
    const digest = digests[at];
    return digest === undefined ? [] : [{ name, size: digest.size, sha256: digest.sha256 }];
  });
}

/** Bytes of the tar of artifacts, if all their sizes are known. */
async function knownTarBytes({ artifacts }: UnreadChunk): Promise<number | undefined> {
  const entries = artifacts.flatMap(({ entry: name, size }) =>
    size === undefined ? [] : [{ name, size }],
  );
  return entries.length < artifacts.length ? undefined : tarBytes(entries);
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
