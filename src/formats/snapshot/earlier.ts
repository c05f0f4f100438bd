/**
 * What an earlier snapshot has already: artifacts by their identity, and chunks by their entries. It is believed only
 * if its list of entries makes its content hash.
 */
import { createHash } from 'node:crypto';
import type Database from 'better-sqlite3';
import { NotFoundError, VerificationError } from '../../errors.ts';
import { openScratchDatabase } from '../../io/scratch.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StoredSnapshot } from '../../storage/contract.ts';
import { ContentHasher } from '../../swing-store-export/content-hash.ts';
import type { ArtifactDigest } from '../../swing-store-export/swing-store-export.ts';
import { planChunks } from './chunks.ts';
import type { SnapshotEntry } from './entries.ts';
import { damaged, heightOfName, isSegmentEntry } from './layout.ts';
import { readSnapshotManifest, type SnapshotManifest } from './manifest.ts';
import type { EntryDigest } from './pack-chunk.ts';

export interface EarlierOptions {
  readonly codec: ZstdCodec;
  /** Where its index goes, which is closed by {@link EarlierSnapshot.close}. */
  readonly scratchDir: string;
  /** Told why a snapshot is passed over. */
  readonly note: (message: string) => void;
}

/** An artifact as an earlier snapshot has it: in one entry, or in parts. */
export interface HeldArtifact extends ArtifactDigest {
  readonly entries: readonly EntryDigest[];
}

export class EarlierSnapshot {
  readonly stored: StoredSnapshot;
  readonly height: number;
  readonly #db: Database.Database;
  readonly #findArtifact: Database.Statement;
  readonly #findChunk: Database.Statement;

  private constructor(stored: StoredSnapshot, height: number, db: Database.Database) {
    this.stored = stored;
    this.height = height;
    this.#db = db;
    this.#findArtifact = db.prepare('SELECT artifact FROM artifacts WHERE identity = ?').pluck();
    this.#findChunk = db.prepare('SELECT chunk FROM chunks WHERE entries = ?').pluck();
  }

  /** The nearest one below `height` that can be believed. */
  static async open(
    storage: SnapshotStorage,
    height: number,
    options: EarlierOptions,
  ): Promise<EarlierSnapshot | undefined> {
    const heights = (await storage.list())
      .map(heightOfName)
      .filter((found) => found !== undefined && found < height)
      .sort((a, b) => (b ?? 0) - (a ?? 0));
    for (const found of heights) {
      const location = `${storage.location}/${String(found)}`;
      try {
        return await EarlierSnapshot.#read(await storage.open(String(found)), options);
      } catch (error) {
        if (error instanceof VerificationError) {
          options.note(`nothing is taken over from ${location}: ${error.message}`);
        } else if (!(error instanceof NotFoundError)) throw error;
      }
    }
    return undefined;
  }

  static async #read(
    stored: StoredSnapshot,
    { codec, scratchDir }: EarlierOptions,
  ): Promise<EarlierSnapshot> {
    const manifest = await readSnapshotManifest(stored);
    const db = openScratchDatabase(scratchDir);
    try {
      db.exec(`
        CREATE TABLE artifacts (identity TEXT PRIMARY KEY, artifact TEXT) WITHOUT ROWID;
        CREATE TABLE chunks (entries BLOB PRIMARY KEY, chunk TEXT) WITHOUT ROWID;
      `);
      await index(db, stored, manifest, codec);
      return new EarlierSnapshot(stored, manifest.height, db);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** The artifact of this identity. */
  artifact(identity: string): HeldArtifact | undefined {
    const json = this.#findArtifact.get(identity) as string | undefined;
    return json === undefined ? undefined : (JSON.parse(json) as HeldArtifact);
  }

  /** The chunk that holds exactly these entries, by the SHA-256 of its file. */
  chunkOf(entries: readonly EntryDigest[]): string | undefined {
    return this.#findChunk.get(signatureOf(entries)) as string | undefined;
  }

  close(): void {
    this.#db.close();
  }
}

async function index(
  db: Database.Database,
  stored: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
): Promise<void> {
  const addChunk = db.prepare('INSERT OR IGNORE INTO chunks VALUES (?, ?)');
  const addArtifact = db.prepare('INSERT OR IGNORE INTO artifacts VALUES (?, ?)');
  const hasher = new ContentHasher(manifest.height, manifest.modules.swingset.exportDataHash);
  let parts: SnapshotEntry[] = [];
  for await (const { chunk, entries } of planChunks(stored, manifest, codec)) {
    addChunk.run(signatureOf(entries), chunk);
    for (const entry of entries) {
      if (isSegmentEntry(entry.name)) continue;
      parts.push(entry);
      const { artifact } = entry;
      if (artifact === undefined) continue;
      hasher.add(artifact);
      const held: HeldArtifact = {
        size: artifact.size,
        sha256: artifact.sha256,
        entries: parts.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
      };
      addArtifact.run(artifact.identity, JSON.stringify(held));
      parts = [];
    }
  }
  const found = hasher.digest();
  if (found !== manifest.contentHash) {
    damaged('its list of entries does not make its content hash', {
      path: stored.location,
      expected: manifest.contentHash,
      found,
    });
  }
}

/** Stands for entries, each with its name, size and content. */
function signatureOf(entries: readonly EntryDigest[]): Buffer {
  const hash = createHash('sha256');
  for (const { name, size, sha256 } of entries) {
    hash.update(`${JSON.stringify([name, size, sha256])}\n`);
  }
  return hash.digest();
}
