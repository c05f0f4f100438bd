/** The chunks of an opened snapshot, module by module, loaded on demand. */
import type { ExpansionLimit } from '../../io/bytes/expansion-limit.ts';
import { limitOfReader } from '../expansion.ts';
import { damaged } from '../layout.ts';
import type { StateChunk } from '../module-contract.ts';
import { loadChunk } from './load-chunk.ts';
import type { OpenedSnapshot } from './opened-snapshot.ts';
import type { PlannedChunk } from './plan-chunks.ts';

type ReadableSnapshot = Pick<OpenedSnapshot, 'stored' | 'manifest' | 'codec' | 'pool' | 'planned'>;

/** One pass through a snapshot. Counts the chunks that are loaded. */
export class ChunkReader {
  readonly #snapshot: ReadableSnapshot;
  readonly #loading = new Set<Promise<unknown>>();
  readonly #limit: ExpansionLimit;
  #loaded = { count: 0, size: 0 };

  constructor(snapshot: ReadableSnapshot) {
    this.#snapshot = snapshot;
    this.#limit = limitOfReader(snapshot.stored.location);
  }

  /**
   * The chunks of one module, in order. Loading the data of an entry checks it.
   * @throws {VerificationError} `SNAPSHOT_DAMAGED`
   */
  async *chunks(module: string): AsyncGenerator<StateChunk> {
    for await (const planned of this.#snapshot.planned(module)) yield this.#asChunk(planned);
  }

  #asChunk(planned: PlannedChunk): StateChunk {
    let contents: Promise<readonly Uint8Array[]> | undefined;
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

  async #load(planned: PlannedChunk): Promise<readonly Uint8Array[]> {
    const { stored, codec, pool } = this.#snapshot;
    const loading = loadChunk(stored, codec, planned, pool, this.#limit);
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
   * Waits until no chunk is loading. If all chunks were loaded, their size must match the manifest.
   * @returns whether all chunks were loaded
   * @throws {VerificationError} `SNAPSHOT_DAMAGED`
   */
  async settle(): Promise<boolean> {
    // Chunks that were loaded ahead count too. Their errors belong to the caller that asked for their data.
    await Promise.allSettled(this.#loading);
    const { chunks } = this.#snapshot.manifest;
    if (this.#loaded.count < chunks.count) return false;
    if (this.#loaded.size === chunks.size) return true;
    return damaged('the compressed size of the snapshot is not what its manifest says', {
      path: `${this.#snapshot.stored.location}: chunks`,
      expected: chunks.size,
      found: this.#loaded.size,
    });
  }
}
