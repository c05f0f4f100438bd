/** The chunks of a stored snapshot, module by module, to be loaded when they are wanted. */
import { NotFoundError } from '../../errors.ts';
import type { ExpansionLimit } from '../../io/bytes/expansion-limit.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { unpacking } from '../chunk-file.ts';
import { readEntries, type SnapshotEntry } from '../entries.ts';
import { limitOfReader } from '../expansion.ts';
import { refuseGone } from '../gone.ts';
import {
  chunkFile,
  damaged,
  MAX_CHUNK_BYTES,
  MAX_CHUNK_ENTRIES,
  MAX_CHUNK_FILE_BYTES,
} from '../layout.ts';
import { moduleNames, type SnapshotManifest } from '../manifest.ts';
import { moduleOf, type StateChunk } from '../module-contract.ts';

export class ChunkReader {
  readonly #snapshot: StoredSnapshot;
  readonly #manifest: SnapshotManifest;
  readonly #codec: ZstdCodec;
  readonly #pool: WorkerPool;
  readonly #loading = new Set<Promise<unknown>>();
  readonly #limit: ExpansionLimit;
  #loaded = { count: 0, size: 0 };

  /** @param pool unpacks chunks */
  constructor(
    snapshot: StoredSnapshot,
    manifest: SnapshotManifest,
    codec: ZstdCodec,
    pool: WorkerPool,
  ) {
    this.#snapshot = snapshot;
    this.#manifest = manifest;
    this.#codec = codec;
    this.#pool = pool;
    this.#limit = limitOfReader(snapshot.location);
  }

  /**
   * The chunks of one module, in order. The data of their entries is checked as it is loaded.
   * @throws {VerificationError} `SNAPSHOT_DAMAGED`
   */
  async *chunks(module: string): AsyncGenerator<StateChunk> {
    for await (const planned of planChunks(this.#snapshot, this.#manifest, this.#codec)) {
      const [first] = planned.entries;
      if (first !== undefined && moduleOf(first.name) === module) yield this.#asChunk(planned);
    }
  }

  #asChunk(planned: PlannedChunk): StateChunk {
    let contents: Promise<Uint8Array[]> | undefined;
    const entries = planned.entries.map(({ name, size, sha256, artifact }, at) => ({
      name,
      size,
      sha256,
      artifact,
      data: async () => {
        contents ??= this.#load(planned);
        return (await contents)[at] ?? new Uint8Array();
      },
    }));
    return { entries };
  }

  async #load(planned: PlannedChunk): Promise<Uint8Array[]> {
    const loading = loadChunk(this.#snapshot, this.#codec, planned, this.#pool, this.#limit);
    this.#loading.add(loading);
    try {
      const { contents, fileBytes } = await loading;
      this.#loaded.count += 1;
      this.#loaded.size += fileBytes;
      return contents;
    } finally {
      this.#loading.delete(loading);
    }
  }

  /**
   * Waits until no chunk is being loaded any more. If all of them were, they must have the size that the manifest says.
   * @returns whether all of them were
   * @throws {VerificationError} `SNAPSHOT_DAMAGED`
   */
  async settle(): Promise<boolean> {
    // What was asked for ahead is counted when it is there; that it fails is for whoever asked.
    await Promise.allSettled(this.#loading);
    const { chunks } = this.#manifest;
    if (this.#loaded.count < chunks.count) return false;
    if (this.#loaded.size === chunks.size) return true;
    return damaged('the snapshot holds another number of compressed bytes than it says', {
      path: `${this.#snapshot.location}: chunks`,
      expected: chunks.size,
      found: this.#loaded.size,
    });
  }
}

/** The entries of one chunk, which stand together in the list. */
export interface PlannedChunk {
  readonly chunk: string;
  readonly entries: readonly SnapshotEntry[];
}

/**
 * The chunks of a snapshot in order, by its list of entries; no chunk is read. Those of a module stand together, and
 * modules in the order of their names.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`
 */
export async function* planChunks(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
): AsyncGenerator<PlannedChunk> {
  const named = new Set<string>();
  let section = '';
  let entries: SnapshotEntry[] = [];
  let bytes = 0;
  for await (const entry of readEntries(snapshot, manifest, codec)) {
    const [first] = entries;
    const isNew = first?.chunk !== entry.chunk;
    const module = moduleOf(entry.name);
    if (
      module !== section &&
      (!isNew || module < section || !Object.hasOwn(manifest.modules, module))
    ) {
      damaged('an entry stands where none of its module can', {
        path: snapshot.location,
        expected: moduleNames(manifest.modules).join(', '),
        found: entry.name.slice(0, 200),
      });
    }
    section = module;
    if (first !== undefined && isNew) {
      yield { chunk: first.chunk, entries };
      entries = [];
      bytes = 0;
    }
    if (isNew) {
      if (named.has(entry.chunk)) {
        // Entries have names of their own, which are part of the bytes.
        damaged('a chunk is named in two places', { path: chunkFile(entry.chunk) });
      }
      named.add(entry.chunk);
    }
    entries.push(entry);
    bytes += entry.size;
    if (entries.length > MAX_CHUNK_ENTRIES || bytes > MAX_CHUNK_BYTES) {
      damaged('a chunk has more entries, or longer ones, than the format allows', {
        path: chunkFile(entry.chunk),
      });
    }
  }
  const [first] = entries;
  if (first !== undefined) yield { chunk: first.chunk, entries };
  if (named.size !== manifest.chunks.count) {
    damaged('the snapshot holds another number of chunks than it says', {
      path: snapshot.location,
      expected: manifest.chunks.count,
      found: named.size,
    });
  }
}

/**
 * Reads a chunk and checks all of it.
 * @param limit told what goes in and comes out
 * @returns the contents of its entries, and the size of its file in bytes
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, or as the codec and the storage
 */
export async function loadChunk(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  { chunk, entries }: PlannedChunk,
  pool: WorkerPool,
  limit: ExpansionLimit,
): Promise<{ contents: Uint8Array[]; fileBytes: number }> {
  const { path, bytes } = await readChunkFile(snapshot, chunk);
  const fileBytes = bytes.length;
  limit.taken += fileBytes;
  limit.give(entries.reduce((sum, { size }) => sum + size, 0));
  const file = { path, chunk, entries, bytes, codec: codec.name };
  return { contents: await pool.run(unpacking, file, [bytes]), fileBytes };
}

/**
 * The bytes of a chunk's file, unchecked, and its path.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is missing, or as the storage
 */
export async function readChunkFile(
  snapshot: StoredSnapshot,
  chunk: string,
): Promise<{ path: string; bytes: Uint8Array }> {
  const path = `${snapshot.location}/${chunkFile(chunk)}`;
  const bytes = await snapshot
    .read(chunkFile(chunk), MAX_CHUNK_FILE_BYTES)
    .catch(missingChunk(snapshot, chunk));
  return { path, bytes };
}

/** What to do with what a storage throws when it is asked for a chunk: one that is not there is missing, or gone. */
export function missingChunk(
  snapshot: StoredSnapshot,
  chunk: string,
): (cause: unknown) => Promise<never> {
  return async (cause) => {
    if (!(cause instanceof NotFoundError)) throw cause;
    await refuseGone(snapshot, cause);
    return damaged('a chunk is missing', {
      path: `${snapshot.location}/${chunkFile(chunk)}`,
      cause,
    });
  };
}
