/** An open stored snapshot. Its manifest is read once; so is its list of entries, when first needed. */
import { defaultScratchDir, openScratchDatabase } from '../../io/files/scratch.ts';
import type { Database } from '../../io/sqlite.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { readingContents } from '../chunk-file.ts';
import { readManifestFile, type ManifestFile, type SnapshotManifest } from '../manifest.ts';
import { moduleOf } from '../module-contract.ts';
import { planChunks, type PlannedChunk } from './plan-chunks.ts';

export interface OpenSnapshotOptions {
  readonly codec: ZstdCodec;
  /** Unpacks chunks; by default this thread. */
  readonly pool?: WorkerPool | undefined;
  /** Directory for the list of entries while it is in use; by default the system's temporary directory. */
  readonly scratchDir?: string | undefined;
}

/** Chunks per query of the scratch database. */
const PAGE_CHUNKS = 64;

export class OpenedSnapshot {
  readonly stored: StoredSnapshot;
  readonly file: ManifestFile;
  readonly codec: ZstdCodec;
  readonly pool: WorkerPool;
  readonly #scratchDir: string;
  /** The list, in a scratch database: it grows with the store, and modules read their sections concurrently. */
  #list: Promise<Database> | undefined;

  private constructor(
    stored: StoredSnapshot,
    file: ManifestFile,
    { codec, pool = inlinePool, scratchDir = defaultScratchDir() }: OpenSnapshotOptions,
  ) {
    this.stored = stored;
    this.file = file;
    this.codec = codec;
    this.pool = pool;
    this.#scratchDir = scratchDir;
  }

  /** Reads the manifest. Throws as `readManifestFile`. */
  static async open(stored: StoredSnapshot, options: OpenSnapshotOptions): Promise<OpenedSnapshot> {
    const file = await readManifestFile(stored);
    options.pool?.warmUp(file.manifest.modules.swingset.artifacts.size, [readingContents]);
    return new OpenedSnapshot(stored, file, options);
  }

  get manifest(): SnapshotManifest {
    return this.file.manifest;
  }

  /**
   * The chunks of one module with their expected entries, in order. Reads no chunk.
   * @throws {VerificationError} `SNAPSHOT_DAMAGED` if anything is wrong with the list
   */
  async *planned(module: string): AsyncGenerator<PlannedChunk> {
    this.#list ??= this.#readList();
    const list = await this.#list;
    // In pages: an open cursor would block the connection for the other modules.
    const page = list.prepare(
      'SELECT rowid, chunk FROM chunks WHERE module = ? AND rowid > ? ORDER BY rowid LIMIT ?',
    );
    for (let after = 0; ;) {
      const rows = page.all(module, after, PAGE_CHUNKS) as { rowid: number; chunk: string }[];
      for (const { chunk } of rows) yield JSON.parse(chunk) as PlannedChunk;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.rowid;
    }
  }

  async #readList(): Promise<Database> {
    const list = openScratchDatabase(this.#scratchDir);
    try {
      // The list is written once and read in order: a cache would only cost memory.
      list.pragma('cache_size = -1024');
      list.exec('CREATE TABLE chunks (module TEXT, chunk TEXT)');
      const add = list.prepare('INSERT INTO chunks VALUES (?, ?)');
      for await (const planned of planChunks(this.stored, this.manifest, this.codec)) {
        const [first] = planned.entries;
        if (first !== undefined) add.run(moduleOf(first.name), JSON.stringify(planned));
      }
      list.exec('CREATE INDEX chunks_by_module ON chunks (module)');
      return list;
    } catch (error) {
      list.close();
      throw error;
    }
  }

  /** Frees the list. */
  async close(): Promise<void> {
    const list = await this.#list?.catch(() => undefined);
    list?.close();
  }
}
