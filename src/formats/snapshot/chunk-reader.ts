/** The chunks of a stored snapshot, module by module, to be loaded when they are wanted. */
import type { ExpansionLimit } from '../../io/expansion-limit.ts';
import type { WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { moduleOf, type StateChunk } from '../../modules/contract.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { loadChunk, planChunks, type PlannedChunk } from './chunks.ts';
import { limitOfReader } from './expansion.ts';
import { damaged } from './layout.ts';
import type { SnapshotManifest } from './manifest.ts';

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
