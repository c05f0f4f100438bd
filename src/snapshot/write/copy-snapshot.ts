/**
 * Copies a snapshot into another storage as it is, byte by byte. Every file is hashed on its way; nothing is unpacked.
 * A chunk that the storage has in another height, or was left by a killed copy, is linked and not read from the source.
 */
import { NotFoundError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import { openScratchDatabase } from '../../io/files/scratch.ts';
import { mapAhead } from '../../io/flow/ahead.ts';
import type { Progress } from '../../io/progress.ts';
import type { Database, Statement } from '../../io/sqlite.ts';
import { queueFor, type WorkerPool } from '../../io/threads/pool.ts';
import { follow, given, type Recipe } from '../../io/threads/recipe.ts';
import { bytesIn } from '../../io/threads/task.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type {
  Pieces,
  SnapshotStorage,
  StagedSnapshot,
  StoredFileFacts,
  StoredSnapshot,
} from '../../storage/contract.ts';
import { digestingFile } from '../chunk-file.ts';
import { refuseGone } from '../gone.ts';
import {
  chunkFile,
  damaged,
  ENTRIES_FILE,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  maxChunkFileBytes,
  snapshotName,
} from '../layout.ts';
import type { ManifestFile } from '../manifest.ts';
import { planChunks } from '../read/plan-chunks.ts';
import { refuseOtherCount } from '../read/quick-verify.ts';
import { copyingFile, copyPieces } from './copied-file.ts';

export interface CopySnapshotOptions {
  readonly codec: ZstdCodec;
  readonly pool: WorkerPool;
  readonly progress: Progress;
  /** Aborts with its reason, and leaves what was copied for the next copy. */
  readonly signal?: AbortSignal | undefined;
  /** What may have the same chunks, in the storage. None of it is believed: what is linked is hashed. */
  readonly beside: readonly StoredSnapshot[];
  /** Is consulted, and records what is hashed. */
  readonly hashed: HashedFiles;
  /** Whether another snapshot of this height may be replaced. */
  readonly replace: boolean;
}

/** Chunks, and the bytes of their files. */
export interface ChunkCount {
  readonly chunks: number;
  readonly size: number;
}

/** Where the chunks of a copy come from. */
export interface CopiedChunks {
  /** Read from the source, and written. */
  readonly copied: ChunkCount;
  /** Linked from the source. */
  readonly linked: ChunkCount;
  /** Linked from what the storage had. */
  readonly shared: ChunkCount;
}

type Origin = keyof CopiedChunks;

interface TakenFile {
  readonly origin: Origin;
  readonly size: number;
}

interface ExpectedFile {
  readonly file: string;
  readonly sha256: string;
  readonly maxBytes: number;
}

/** Bytes of a file, about: a thread that reads it is worth its start. */
const FILE_BYTES = 16 * 1024 * 1024;

/**
 * Files of this process that were hashed, in a scratch database: heights share chunks by links, and each file is hashed once.
 */
export class HashedFiles {
  readonly #db: Database;
  readonly #add: Statement;
  readonly #find: Statement;

  constructor(scratchDir: string) {
    this.#db = openScratchDatabase(scratchDir);
    this.#db.exec('CREATE TABLE hashed (file TEXT PRIMARY KEY) WITHOUT ROWID');
    this.#add = this.#db.prepare('INSERT OR IGNORE INTO hashed VALUES (?)');
    this.#find = this.#db.prepare('SELECT 1 FROM hashed WHERE file = ?').pluck();
  }

  has(sha256: string, facts: StoredFileFacts): boolean {
    return this.#find.get(keyOf(sha256, facts)) !== undefined;
  }

  add(sha256: string, facts: StoredFileFacts): void {
    this.#add.run(keyOf(sha256, facts));
  }

  close(): void {
    this.#db.close();
  }
}

/** A number of a file may be used again, so it alone does not name one. */
function keyOf(sha256: string, { id, size, modified }: StoredFileFacts): string {
  return `${sha256} ${id} ${size} ${modified.getTime()}`;
}

/**
 * Publishes a copy of a snapshot.
 * @param file its manifest, which was read
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if a file of it is missing or has the wrong hash, or its manifest has
 *   changed meanwhile; {@link NotFoundError} `SNAPSHOT_GONE`
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS`; as the storages
 */
export async function copySnapshot(
  from: StoredSnapshot,
  file: ManifestFile,
  to: SnapshotStorage,
  options: CopySnapshotOptions,
): Promise<CopiedChunks> {
  const staged = await to.stage(snapshotName(file.manifest.height));
  const copy = new SnapshotCopy(from, file, staged, options);
  try {
    const chunks = await copy.run();
    await staged.publish(options.replace);
    return chunks;
  } catch (error) {
    if (options.signal?.aborted === true) await staged.leave();
    else await staged.discard();
    throw error;
  }
}

class SnapshotCopy {
  readonly #from: StoredSnapshot;
  readonly #file: ManifestFile;
  readonly #staged: StagedSnapshot;
  readonly #options: CopySnapshotOptions;
  /** The one that had the last chunk is asked first. */
  readonly #beside: StoredSnapshot[];
  readonly #taken: Record<Origin, { chunks: number; size: number }> = {
    copied: { chunks: 0, size: 0 },
    linked: { chunks: 0, size: 0 },
    shared: { chunks: 0, size: 0 },
  };

  constructor(
    from: StoredSnapshot,
    file: ManifestFile,
    staged: StagedSnapshot,
    options: CopySnapshotOptions,
  ) {
    this.#from = from;
    this.#file = file;
    this.#staged = staged;
    this.#options = options;
    this.#beside = [...options.beside];
  }

  /** Content first, then the list, then the manifest. */
  async run(): Promise<CopiedChunks> {
    await this.#takeChunks();
    const { size: maxBytes, sha256 } = this.#file.manifest.entries;
    await this.#takeFromSource({ file: ENTRIES_FILE, sha256, maxBytes });
    await this.#putManifest();
    this.#options.signal?.throwIfAborted();
    return this.#taken;
  }

  async #takeChunks(): Promise<void> {
    const { manifest } = this.#file;
    const { codec, pool, progress, signal } = this.#options;
    const maxBytes = maxChunkFileBytes(manifest.version);
    const planned = planChunks(this.#from, manifest, codec);
    // A file is copied piece by piece, so that none waits in memory.
    const limits = { ...queueFor(pool), sizeOf: () => 0 };
    const taken = mapAhead(planned, limits, async ({ chunk }) => {
      const expected = { file: chunkFile(chunk), sha256: chunk, maxBytes };
      return (await this.#takeBeside(expected)) ?? this.#takeFromSource(expected);
    });
    const found = { count: 0, size: 0 };
    for await (const { origin, size } of taken) {
      signal?.throwIfAborted();
      this.#taken[origin].chunks += 1;
      this.#taken[origin].size += size;
      found.count += 1;
      found.size += size;
      progress.advance(size, 1);
    }
    refuseOtherCount(this.#from, manifest, found);
  }

  async #takeBeside(expected: ExpectedFile): Promise<TakenFile | undefined> {
    for (const beside of [...this.#beside]) {
      const size = await this.#link(expected, beside);
      if (size === undefined) continue;
      this.#beside.splice(this.#beside.indexOf(beside), 1);
      this.#beside.unshift(beside);
      return { origin: 'shared', size };
    }
    return undefined;
  }

  async #takeFromSource(expected: ExpectedFile): Promise<TakenFile> {
    const linked = await this.#link(expected, this.#from);
    if (linked !== undefined) return { origin: 'linked', size: linked };
    return { origin: 'copied', size: await this.#copy(expected) };
  }

  /** @returns undefined if it is not there, cannot be linked, or has the wrong hash */
  async #link(
    { file, sha256, maxBytes }: ExpectedFile,
    from: StoredSnapshot,
  ): Promise<number | undefined> {
    const { pool, hashed } = this.#options;
    const accept = async (recipe: Recipe<Pieces>): Promise<boolean> => {
      const facts = await this.#staged.facts(file);
      if (hashed.has(sha256, facts)) return true;
      const found = await pool.run(digestingFile, recipe, bytesIn(recipe.input), FILE_BYTES);
      if (found.sha256 !== sha256) return false;
      hashed.add(sha256, facts);
      return true;
    };
    return this.#staged.adopt(file, from, maxBytes, accept, 'link');
  }

  async #copy({ file, sha256, maxBytes }: ExpectedFile): Promise<number> {
    const path = `${this.#from.location}/${file}`;
    const found = await this.#write(file, maxBytes).catch(async (cause: unknown) => {
      if (!(cause instanceof NotFoundError)) throw cause;
      await refuseGone(this.#from, cause);
      return damaged('a file of the snapshot is missing', { path, cause });
    });
    if (found.sha256 !== sha256) {
      damaged('a file of the snapshot has the wrong hash', {
        path,
        expected: sha256,
        found: found.sha256,
      });
    }
    this.#options.hashed.add(sha256, await this.#staged.facts(file));
    return found.size;
  }

  async #write(
    file: string,
    maxBytes: number,
  ): Promise<{ readonly size: number; readonly sha256: string }> {
    const from =
      this.#from.recipe?.(file, maxBytes) ?? given([await this.#from.read(file, maxBytes)]);
    const spot = this.#staged.spot?.();
    if (spot === undefined) {
      return copyPieces(await follow(from), await this.#staged.create(file), maxBytes);
    }
    const work = { from, to: spot.writer, maxBytes };
    const found = await this.#options.pool.run(copyingFile, work, [], FILE_BYTES);
    await spot.name(file);
    return found;
  }

  /** The same bytes again, unless the snapshot was replaced meanwhile. */
  async #putManifest(): Promise<void> {
    const from = this.#from;
    try {
      const bytes = await from.read(MANIFEST_FILE, MAX_MANIFEST_BYTES);
      if (sha256Hex(bytes) !== this.#file.sha256) {
        damaged('the snapshot was changed while it was copied', { path: from.location });
      }
      // Of a snapshot that does not say when it was made, this time does.
      const { modified } = await from.facts(MANIFEST_FILE);
      await this.#staged.put(MANIFEST_FILE, bytes, modified);
    } catch (cause) {
      if (cause instanceof NotFoundError) await refuseGone(from, cause);
      throw cause;
    }
  }
}
