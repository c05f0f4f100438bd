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
import type { Belief } from '../belief.ts';
import type { SnapshotEntry } from '../entries.ts';
import { isFaultOfStored } from '../gone.ts';
import { chunkFile, heightsAmong } from '../layout.ts';
import { readManifestFile, type ManifestFile, type SnapshotManifest } from '../manifest.ts';
import { moduleOf, type EntryDigest, type HeldArtifact } from '../module-contract.ts';
import { planChunks } from '../read/plan-chunks.ts';

/** Artifacts with more parts are not reused: no writer makes them. */
const MAX_HELD_PARTS = 16_384;
/** Most unknown snapshots to verify: each takes as long as packing anew. */
const MAX_VERIFIED = 2;

interface FoundSnapshot {
  readonly stored: StoredSnapshot;
  readonly file: ManifestFile;
}

export interface EarlierOptions {
  readonly codec: ZstdCodec;
  /** Directory for its index, which {@link EarlierSnapshot.close} frees. */
  readonly scratchDir: string;
  readonly belief: Belief;
  /** Receives the reason why a snapshot is skipped. */
  readonly note: (message: string) => void;
}

export class EarlierSnapshot {
  readonly stored: StoredSnapshot;
  readonly height: number;
  readonly #db: Database;
  readonly #findArtifact: Statement;
  readonly #findChunk: Statement;
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
      .prepare('SELECT held FROM artifacts WHERE module = ? AND identity = ?')
      .pluck();
    this.#findChunk = db.prepare('SELECT chunk FROM chunks WHERE entries = ?').pluck();
  }

  /**
   * Opens the nearest snapshot below `height` that is known to be true. If there is none, verifies the nearest ones until
   * one is whole. Foreign snapshots beside ours must neither make a transfer fail nor take all its time.
   */
  static async open(
    storage: SnapshotStorage,
    height: number,
    options: EarlierOptions,
  ): Promise<EarlierSnapshot | undefined> {
    const { belief, note } = options;
    const heights = heightsAmong(await storage.list()).filter((found) => found < height);
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
      if (found === undefined) continue;
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
        CREATE TABLE artifacts (module TEXT, identity TEXT, held TEXT);
        CREATE INDEX artifacts_by_identity ON artifacts (module, identity);
        CREATE TABLE chunks (entries BLOB PRIMARY KEY, chunk TEXT) WITHOUT ROWID;
      `);
      await index(db, stored, manifest, options);
      return new EarlierSnapshot(stored, manifest.height, db, options.note);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** The artifact with this identity. */
  artifact(module: string, identity: string): HeldArtifact | undefined {
    const json = this.#findArtifact.get(module, identity) as string | undefined;
    return json === undefined ? undefined : (JSON.parse(json) as HeldArtifact);
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
  const addChunk = db.prepare('INSERT OR IGNORE INTO chunks VALUES (?, ?)');
  const addArtifact = db.prepare('INSERT INTO artifacts VALUES (?, ?, ?)');
  let parts: SnapshotEntry[] = [];
  for await (const { chunk, entries } of planChunks(stored, manifest, codec)) {
    addChunk.run(Buffer.from(signatureOf(entries), 'hex'), chunk);
    for (const entry of entries) {
      // Entries without an artifact come before all artifacts, and parts before the last part of theirs.
      const [first] = parts;
      if (first !== undefined && !isBeside(first, entry)) parts = [];
      if (parts.length >= MAX_HELD_PARTS) parts = [];
      parts.push(entry);
      const { artifact } = entry;
      if (artifact === undefined) continue;
      const held: HeldArtifact = {
        size: artifact.size,
        sha256: artifact.sha256,
        entries: parts.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
      };
      addArtifact.run(moduleOf(entry.name), artifact.identity, JSON.stringify(held));
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
