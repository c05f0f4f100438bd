/**
 * What an earlier snapshot has already: artifacts by their identity, and chunks by their entries. It is believed only
 * if its list of entries makes its content hash.
 */
import { createHash, type Hash } from 'node:crypto';
import { NotFoundError, VerificationError } from '../../errors.ts';
import { openScratchDatabase } from '../../io/scratch.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import {
  ModuleHasher,
  moduleOf,
  type EntryDigest,
  type HeldArtifact,
  type StateArtifact,
} from '../../modules/contract.ts';
import type { SnapshotStorage, StoredSnapshot } from '../../storage/contract.ts';
import { planChunks } from './chunks.ts';
import { contentHashOf } from './content.ts';
import type { SnapshotEntry } from './entries.ts';
import { damaged, heightOfName } from './layout.ts';
import { otherModules, readSnapshotManifest, type SnapshotManifest } from './manifest.ts';
import type { Database, Statement } from '../../io/sqlite.ts';

/** The module whose artifacts a content hash lists first, one by one, and how. */
export interface LeadContent {
  readonly module: string;
  /** SHA-256, not ended, of all lines up to its last one, from its artifacts in the order of the list. */
  readonly of: (
    manifest: SnapshotManifest,
    artifacts: Iterable<StateArtifact>,
    scratchDir: string,
  ) => Hash;
}

/** An artifact of more parts is not taken over: no writer makes one. */
const MAX_HELD_PARTS = 16_384;

export interface EarlierOptions {
  readonly codec: ZstdCodec;
  /** Where its index goes, which is closed by {@link EarlierSnapshot.close}. */
  readonly scratchDir: string;
  readonly leadContent: LeadContent;
  /** Told why a snapshot is passed over. */
  readonly note: (message: string) => void;
}

export class EarlierSnapshot {
  readonly stored: StoredSnapshot;
  readonly height: number;
  readonly #db: Database;
  readonly #findArtifact: Statement;
  readonly #findChunk: Statement;

  private constructor(stored: StoredSnapshot, height: number, db: Database) {
    this.stored = stored;
    this.height = height;
    this.#db = db;
    this.#findArtifact = db
      .prepare('SELECT held FROM artifacts WHERE module = ? AND identity = ?')
      .pluck();
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

  static async #read(stored: StoredSnapshot, options: EarlierOptions): Promise<EarlierSnapshot> {
    const manifest = await readSnapshotManifest(stored);
    const db = openScratchDatabase(options.scratchDir);
    try {
      db.exec(`
        CREATE TABLE artifacts (module TEXT, identity TEXT, artifact TEXT, held TEXT);
        CREATE INDEX artifacts_by_identity ON artifacts (module, identity);
        CREATE TABLE chunks (entries BLOB PRIMARY KEY, chunk TEXT) WITHOUT ROWID;
      `);
      await index(db, stored, manifest, options);
      refuseOtherContent(db, stored, manifest, options);
      return new EarlierSnapshot(stored, manifest.height, db);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** The artifact of this identity. */
  artifact(module: string, identity: string): HeldArtifact | undefined {
    const json = this.#findArtifact.get(module, identity) as string | undefined;
    return json === undefined ? undefined : (JSON.parse(json) as HeldArtifact);
  }

  /** The chunk that holds exactly the entries of a {@link signatureOf}, by the SHA-256 of its file. */
  chunkOf(signature: string): string | undefined {
    return this.#findChunk.get(Buffer.from(signature, 'hex')) as string | undefined;
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
  const addArtifact = db.prepare('INSERT INTO artifacts VALUES (?, ?, ?, ?)');
  let parts: SnapshotEntry[] = [];
  for await (const { chunk, entries } of planChunks(stored, manifest, codec)) {
    addChunk.run(Buffer.from(signatureOf(entries), 'hex'), chunk);
    for (const entry of entries) {
      // What is in no artifact stands before all of them, and parts before the last one of theirs.
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
      const { identity } = artifact;
      addArtifact.run(
        moduleOf(entry.name),
        identity,
        JSON.stringify(artifact),
        JSON.stringify(held),
      );
      parts = [];
    }
  }
}

/** Whether two entries may be parts of one thing: they are called alike up to the last `/`. */
function isBeside(one: SnapshotEntry, other: SnapshotEntry): boolean {
  const above = ({ name }: SnapshotEntry): string => name.slice(0, name.lastIndexOf('/'));
  return above(one) === above(other);
}

/** @throws {VerificationError} `SNAPSHOT_DAMAGED` if the list of entries does not make the content hash */
function refuseOtherContent(
  db: Database,
  { location }: StoredSnapshot,
  manifest: SnapshotManifest,
  { leadContent, scratchDir }: EarlierOptions,
): void {
  const list = db.prepare('SELECT artifact FROM artifacts WHERE module = ? ORDER BY rowid').pluck();
  function* artifactsOf(module: string): Generator<StateArtifact> {
    for (const json of list.iterate(module) as IterableIterator<string>) {
      yield JSON.parse(json) as StateArtifact;
    }
  }
  const states: Record<string, { fields: Readonly<Record<string, unknown>>; content?: Hash }> = {};
  const content = leadContent.of(manifest, artifactsOf(leadContent.module), scratchDir);
  states[leadContent.module] = { fields: {}, content };
  for (const [name, { kind }] of otherModules(manifest)) {
    const hasher = new ModuleHasher(kind);
    for (const artifact of artifactsOf(name)) hasher.add(artifact);
    states[name] = { fields: hasher.fields() };
  }
  const found = contentHashOf(manifest.height, states);
  if (found === manifest.contentHash) return;
  damaged('its list of entries does not make its content hash', {
    path: location,
    expected: manifest.contentHash,
    found,
  });
}

/** Stands for entries, each with its name, size and content. */
export function signatureOf(entries: readonly EntryDigest[]): string {
  const hash = createHash('sha256');
  for (const { name, size, sha256 } of entries) {
    hash.update(`${JSON.stringify([name, size, sha256])}\n`);
  }
  return hash.digest('hex');
}
