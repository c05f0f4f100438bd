/**
 * What an earlier snapshot has: artifacts by identity, and chunks by their entries. Its list of entries is trusted, so
 * the snapshot must be proved.
 */
import { createHash } from 'node:crypto';
import { NotFoundError } from '../../errors.ts';
import { openScratchDatabase } from '../../io/files/scratch.ts';
import type { Database, Statement } from '../../io/sqlite.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StoredSnapshot } from '../../storage/contract.ts';
import type { ExpectedArtifact } from '../../swing-store-export/swing-store-export.ts';
import type { Belief } from '../belief.ts';
import type { SnapshotEntry } from '../entries.ts';
import { isFaultOfStored } from '../gone.ts';
import { chunkFile, heightsAmong, type FormatVersion } from '../layout.ts';
import { readManifestFile, type ManifestFile, type SnapshotManifest } from '../manifest.ts';
import {
  bytesOfEntries,
  moduleOf,
  type EntryDigest,
  type HeldArtifact,
} from '../module-contract.ts';
import { planChunks } from '../read/plan-chunks.ts';

/** Artifacts with more parts are not reused: no writer makes them. */
const MAX_HELD_PARTS = 16_384;
/** Most unknown snapshots to verify: each takes as long as packing anew. */
const MAX_VERIFIED = 2;

/**
 * Chunks of which a snapshot uses so little are packed anew, together, once there are so many: where a heap snapshot or two
 * change from height to height, each of them would stay in a chunk of its own. So a heap snapshot is packed twice at most
 * while it is in use, and takes as few bytes as in a full group from then on.
 */
const FEW = { artifacts: 4, bytes: 64 * 1024 * 1024, chunks: 8 } as const;

interface FoundSnapshot {
  readonly stored: StoredSnapshot;
  readonly file: ManifestFile;
}

/** A chunk that a new snapshot can link. */
export interface KeepableChunk {
  readonly chunk: string;
  /** All that it holds, in order. */
  readonly entries: readonly SnapshotEntry[];
}

export interface EarlierOptions {
  readonly codec: ZstdCodec;
  /** Directory for its index, which {@link EarlierSnapshot.close} frees. */
  readonly scratchDir: string;
  readonly belief: Belief;
  /** Of the format of the new snapshot. */
  readonly version: FormatVersion;
  /** Receives the reason why a snapshot is skipped. */
  readonly note: (message: string) => void;
}

export class EarlierSnapshot {
  readonly stored: StoredSnapshot;
  readonly height: number;
  readonly #db: Database;
  readonly #findArtifact: Statement;
  readonly #findChunk: Statement;
  readonly #use: Statement;
  readonly #note: (message: string) => void;
  #isUnusableTold = false;

  private constructor(
    stored: StoredSnapshot,
    height: number,
    db: Database,
    note: (message: string) => void,
  ) {
    this.stored = stored;
    this.height = height;
    this.#db = db;
    this.#note = note;
    this.#findArtifact = db
      .prepare(
        `SELECT held FROM artifacts
       WHERE module = ? AND identity = ? AND (isKept OR chunk IS NULL OR ?)`,
      )
      .pluck();
    this.#use = db.prepare(
      'UPDATE artifacts SET isKept = 2 WHERE module = ? AND identity = ? AND name = ? AND isKept',
    );
    this.#findChunk = db.prepare('SELECT chunk FROM chunks WHERE entries = ?').pluck();
  }

  /**
   * Opens the nearest snapshot up to `height` that is known to be true, of a version that the new one can link. If there is none, verifies the nearest ones until
   * one is whole. Foreign snapshots beside ours must neither make a transfer fail nor take all its time.
   */
  static async open(
    storage: SnapshotStorage,
    height: number,
    options: EarlierOptions,
  ): Promise<EarlierSnapshot | undefined> {
    const { belief, note, version } = options;
    const heights = heightsAmong(await storage.list()).filter((found) => found <= height);
    const attempt = async <Result>(
      location: string,
      work: () => Promise<Result>,
    ): Promise<Result | undefined> => {
      try {
        return await work();
      } catch (error) {
        if (!isFaultOfStored(error)) throw error;
        const isGone = error instanceof NotFoundError;
        if (!isGone) note(`nothing is reused from ${location}: ${error.message}`);
        return undefined;
      }
    };
    const unknown: FoundSnapshot[] = [];
    for (const name of heights.map(String)) {
      const found = await attempt(`${storage.location}/${name}`, async () => {
        const stored = await storage.open(name);
        return { stored, file: await readManifestFile(stored) };
      });
      if (found === undefined || found.file.manifest.version > version) continue;
      if (!belief.knows(found.file)) {
        unknown.push(found);
        continue;
      }
      const known = await attempt(found.stored.location, async () =>
        EarlierSnapshot.#read(found, options),
      );
      if (known !== undefined) return known;
    }
    for (const found of unknown.slice(0, MAX_VERIFIED)) {
      const { stored, file } = found;
      const verified = await attempt(stored.location, async () => {
        await belief.verify(stored, file);
        return EarlierSnapshot.#read(found, options);
      });
      if (verified !== undefined) return verified;
    }
    return undefined;
  }

  static async #read(
    { stored, file: { manifest } }: FoundSnapshot,
    options: EarlierOptions,
  ): Promise<EarlierSnapshot> {
    const db = openScratchDatabase(options.scratchDir);
    try {
      db.exec(`
        CREATE TABLE artifacts (
          module TEXT, identity TEXT, name TEXT, size INTEGER, chunk TEXT, isKept INTEGER, held TEXT
        );
        CREATE INDEX artifacts_by_chunk ON artifacts (chunk);
        CREATE INDEX artifacts_by_identity ON artifacts (module, identity);
        CREATE TABLE chunks (entries BLOB PRIMARY KEY, chunk TEXT, size INTEGER, lines TEXT) WITHOUT ROWID;
        CREATE TEMP TABLE wanted (name TEXT, identity TEXT);
      `);
      await index(db, stored, manifest, options);
      return new EarlierSnapshot(stored, manifest.height, db, options.note);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /**
   * The artifact with this identity.
   * @param keptOnly whether those in one entry must be kept
   */
  artifact(module: string, identity: string, keptOnly: boolean): HeldArtifact | undefined {
    const held = this.#findArtifact.get(module, identity, keptOnly ? 0 : 1) as string | undefined;
    return held === undefined ? undefined : (JSON.parse(held) as HeldArtifact);
  }

  /**
   * The chunks of whole artifacts of which most bytes are still wanted, unless many of them are small. What was packed
   * together stays together as long as most of it is used.
   */
  *keepable(module: string, wanted: Iterable<ExpectedArtifact>): Generator<KeepableChunk> {
    this.#db.exec('DELETE FROM temp.wanted');
    const add = this.#db.prepare('INSERT INTO temp.wanted VALUES (?, ?)');
    for (const { name, identity } of wanted) add.run(name, identity);
    this.#db.exec('CREATE INDEX IF NOT EXISTS temp.wanted_by_name ON wanted (name, identity)');
    const rows = this.#db
      .prepare(
        `SELECT c.chunk AS chunk, c.lines AS lines,
                used.count < ${FEW.artifacts} AND used.live < ${FEW.bytes} AS isSmall
         FROM chunks c JOIN (
           SELECT a.chunk AS chunk, count(*) AS count, sum(a.size) AS live FROM artifacts a
           JOIN temp.wanted w ON w.name = a.name AND w.identity = a.identity
           WHERE a.module = ? AND a.chunk IS NOT NULL GROUP BY a.chunk
         ) used ON used.chunk = c.chunk
         WHERE used.live * 2 >= c.size ORDER BY c.chunk`,
      )
      .all(module) as { chunk: string; lines: string; isSmall: 0 | 1 }[];
    const areMany = rows.filter(({ isSmall }) => isSmall === 1).length >= FEW.chunks;
    for (const { chunk, lines, isSmall } of rows) {
      if (areMany && isSmall === 1) continue;
      yield { chunk, entries: JSON.parse(lines) as SnapshotEntry[] };
    }
  }

  /** Call this for a keepable chunk that is kept. */
  keep(module: string, { chunk }: KeepableChunk): void {
    this.#db
      .prepare('UPDATE artifacts SET isKept = 1 WHERE module = ? AND chunk = ?')
      .run(module, chunk);
  }

  /**
   * Call this for an artifact that the new snapshot has.
   * @returns whether a kept chunk has it, under this name
   */
  use(module: string, { name, identity }: ExpectedArtifact): boolean {
    return this.#use.run(module, identity, name).changes > 0;
  }

  /** The lines of a kept chunk: those of artifacts that the new snapshot does not have are unused. */
  linesOf(module: string, { chunk, entries }: KeepableChunk): SnapshotEntry[] {
    const used = this.#db
      .prepare('SELECT name FROM artifacts WHERE module = ? AND chunk = ? AND isKept = 2')
      .pluck()
      .all(module, chunk) as string[];
    const names = new Set(used);
    return entries.map(({ name, size, sha256, artifact }) =>
      artifact !== undefined && names.has(artifact.name)
        ? { chunk, name, size, sha256, artifact }
        : { chunk, name, size, sha256, unused: true },
    );
  }

  /** The chunk that holds exactly the entries of this {@link signatureOf}, as the SHA-256 of its file. */
  chunkOf(signature: string): string | undefined {
    return this.#findChunk.get(Buffer.from(signature, 'hex')) as string | undefined;
  }

  /** Call this for a chunk of it that could not be reused. Only the first one is noted. */
  tellUnusable(chunk: string): void {
    if (this.#isUnusableTold) return;
    this.#isUnusableTold = true;
    this.#note(
      `${this.stored.location} is not whole: ${chunkFile(chunk)}, and perhaps more, is missing, damaged or not readable, and is packed anew`,
    );
  }

  close(): void {
    this.#db.close();
  }
}

async function index(
  db: Database,
  stored: StoredSnapshot,
  manifest: SnapshotManifest,
  { codec }: EarlierOptions,
): Promise<void> {
  const addChunk = db.prepare('INSERT OR IGNORE INTO chunks VALUES (?, ?, ?, ?)');
  const addArtifact = db.prepare('INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, 0, ?)');
  let parts: SnapshotEntry[] = [];
  for await (const { chunk, entries } of planChunks(stored, manifest, codec)) {
    const isOfWhole = entries.every(
      ({ artifact, size, unused }) => unused === true || artifact?.size === size,
    );
    const lines = isOfWhole ? JSON.stringify(entries) : null;
    addChunk.run(
      Buffer.from(signatureOf(entries), 'hex'),
      chunk,
      isOfWhole ? bytesOfEntries(entries) : null,
      lines,
    );
    for (const entry of entries) {
      if (entry.unused === true) continue;
      // Entries without an artifact come before all artifacts, and parts before the last part of theirs.
      const [first] = parts;
      if (first !== undefined && !isBeside(first, entry)) parts = [];
      if (parts.length >= MAX_HELD_PARTS) parts = [];
      parts.push(entry);
      const { artifact } = entry;
      if (artifact === undefined) continue;
      const { name, identity, size, sha256 } = artifact;
      const held: HeldArtifact = {
        size,
        sha256,
        entries: parts.map((part) => ({ name: part.name, size: part.size, sha256: part.sha256 })),
      };
      const alone = isOfWhole ? chunk : null;
      addArtifact.run(moduleOf(entry.name), identity, name, size, alone, JSON.stringify(held));
      parts = [];
    }
  }
}

/** Whether two entries may be parts of one artifact: their names are equal up to the last `/`. */
function isBeside(one: SnapshotEntry, other: SnapshotEntry): boolean {
  const above = ({ name }: SnapshotEntry): string => name.slice(0, name.lastIndexOf('/'));
  return above(one) === above(other);
}

/** A hash of entries by name, size and content. */
export function signatureOf(entries: readonly EntryDigest[]): string {
  const hash = createHash('sha256');
  for (const { name, size, sha256 } of entries) {
    hash.update(`${JSON.stringify([name, size, sha256])}\n`);
  }
  return hash.digest('hex');
}
