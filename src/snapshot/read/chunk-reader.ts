/** The chunks of an opened snapshot, module by module, loaded on demand. */
import type { ExpansionLimit } from '../../io/bytes/expansion-limit.ts';
import type { Recipe } from '../../io/threads/recipe.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { CheckedContent, Contents } from '../../swing-store-export/swing-store-export.ts';
import { gathering } from '../chunk-file.ts';
import { limitOfReader } from '../expansion.ts';
import { damaged } from '../layout.ts';
import { bytesOfEntries, type StateChunk } from '../module-contract.ts';
import { contentsOf } from './load-chunk.ts';
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
    const used = planned.entries.map(({ unused }) => unused !== true);
    let contents: Promise<readonly Uint8Array[]> | undefined;
    let isCounted = false;
    const recipe = async (
      wanted: readonly boolean[],
    ): Promise<Recipe<Contents<CheckedContent>>> => {
      const { stored, codec, manifest } = this.#snapshot;
      const ofAll = [...wanted];
      const wantedOfAll = used.map((isUsed) => isUsed && ofAll.shift() === true);
      const found = await contentsOf(stored, codec, planned, wantedOfAll, manifest.version);
      if (!isCounted) this.#count(planned, found.fileBytes);
      isCounted = true;
      return found.recipe;
    };
    const entries = planned.entries
      .filter((_, at) => used[at])
      .map(({ name, size, sha256, artifact }, at, { length }) => ({
        name,
        size,
        sha256,
        artifact,
        data: async () => {
          contents ??= this.#load(planned, await recipe(new Array<boolean>(length).fill(true)));
          return (await contents)[at] ?? new Uint8Array();
        },
      }));
    return { entries, contents: recipe };
  }

  #count(planned: PlannedChunk, fileBytes: number): void {
    this.#loaded.count += 1;
    this.#loaded.size += fileBytes;
    this.#limit.taken += fileBytes;
    this.#limit.give(bytesOfEntries(planned.entries));
  }

  async #load(
    planned: PlannedChunk,
    recipe: Recipe<Contents<CheckedContent>>,
  ): Promise<readonly Uint8Array[]> {
    const size = bytesOfEntries(planned.entries);
    const loading = this.#snapshot.pool.run(gathering, recipe, bytesIn(recipe.input), size);
    this.#loading.add(loading);
    try {
      return await loading;
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
