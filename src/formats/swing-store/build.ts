/**
 * Builds a new SwingStore, as the reference's `importSwingStore` does, aside from where it will be: in
 * `S/.swingsnap-restore-<id>/`, and moved into place when everything in it is durable.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { VerificationError } from '../../errors.ts';
import { gzipWhole } from '../../io/gzip.ts';
import { InOrder } from '../../io/in-order.ts';
import { linesOf, wholeLines } from '../../io/lines.ts';
import { makeDirectory, unmakeDirectories } from '../../io/made-directory.ts';
import { TEMPORARY_PREFIX } from '../../io/scratch.ts';
import { inlinePool, queueFor, type WorkerPool } from '../../io/worker-pool/pool.ts';
import { namesOf, removeLeftovers, WorkDirectory } from '../../io/work-directory.ts';
import type { RestoreMode } from '../../swing-store-export/artifact-mode.ts';
import { canonicalNestedEvaluateBundle } from '../../swing-store-export/check-bundle.ts';
import { entriesOfBlock } from '../../swing-store-export/export-data.ts';
import { parseArtifactName, type ArtifactName } from '../../swing-store-export/names.ts';
import {
  decodeBundleRecord,
  decodeHeapSnapshotRecord,
  decodeTranscriptSpanRecord,
} from '../../swing-store-export/records.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ExportSink,
  type ExportSummary,
} from '../../swing-store-export/swing-store-export.ts';
import { itemOfLine } from '../../swing-store-export/verify-artifact.ts';
import { findLack } from './completeness.ts';
import { packing } from './heap-blob.ts';
import { installStore, refuseExistingStore, type InstalledStore } from './install.ts';
import { blobTooLarge, DATABASE_FILE, MAX_BLOB_BYTES, SCHEMA } from './layout.ts';

export interface BuildSwingStoreOptions {
  /** Moves an existing store aside instead of refusing. */
  readonly replace: boolean;
  /** zlib level of heap snapshots, 1 to 9. */
  readonly gzipLevel: number;
  /** Gzips heap snapshots; by default this thread. */
  readonly pool?: WorkerPool | undefined;
  /** Called with the directory of the finished database before it is installed; may refuse it. */
  readonly beforeInstall?: ((staging: string, summary: ExportSummary) => Promise<void>) | undefined;
}

const WORK_PREFIX = `${TEMPORARY_PREFIX}restore-`;

/** Removes what builds that were killed have left in `stateDir`, beside whatever store is there. */
export function removeDeadBuilds(stateDir: string): void {
  if (statSync(stateDir, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  removeLeftovers(stateDir, namesOf(WORK_PREFIX));
}

/**
 * Starts a SwingStore in `stateDir`, which is made if it is missing.
 * @throws {SwingSnapError} `STORE_EXISTS` if a `swingstore.sqlite*` is there and may not be replaced
 */
export async function buildSwingStore(
  stateDir: string,
  options: BuildSwingStoreOptions,
): Promise<ExportSink<InstalledStore>> {
  if (!options.replace) await refuseExistingStore(stateDir);
  const made = await makeDirectory(stateDir);
  try {
    const work = WorkDirectory.make(stateDir, WORK_PREFIX);
    try {
      const db = makeDatabase(join(work.path, DATABASE_FILE));
      return new SwingStoreBuilder(stateDir, work, made, options, db);
    } catch (error) {
      work.remove();
      throw error;
    }
  } catch (error) {
    await unmakeDirectories(made);
    throw error;
  }
}

/** A database with the tables of a SwingStore, in a transaction that is never rolled back. */
function makeDatabase(path: string): Database.Database {
  const db = new Database(path);
  try {
    // Nobody sees this file before it is whole and synced, and a failed build is thrown away: no journal, no syncs.
    db.pragma('journal_mode = OFF');
    db.pragma('synchronous = OFF');
    db.pragma('locking_mode = EXCLUSIVE');
    // Rows come in key order, so a few MiB of cache hold all pages that are still being filled.
    db.pragma('cache_size = -32768');
    db.exec(SCHEMA);
    db.exec('BEGIN');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

type HeapSnapshotName = Extract<ArtifactName, { kind: 'snapshot' }>;

/** A heap snapshot on its way into the database. */
interface PackedHeap {
  readonly vatID: string;
  readonly snapPos: number;
  /** Bytes of its content. */
  readonly size: number;
  readonly blob: Uint8Array;
}

class SwingStoreBuilder implements ExportSink<InstalledStore> {
  readonly #stateDir: string;
  readonly #work: WorkDirectory;
  readonly #madeAbove: readonly string[];
  readonly #options: BuildSwingStoreOptions;
  readonly #db: Database.Database;
  readonly #sql: Statements;
  /** Those that are being gzipped. */
  readonly #heapSnapshots: InOrder<PackedHeap>;

  constructor(
    stateDir: string,
    work: WorkDirectory,
    madeAbove: readonly string[],
    options: BuildSwingStoreOptions,
    db: Database.Database,
  ) {
    this.#stateDir = stateDir;
    this.#work = work;
    this.#madeAbove = madeAbove;
    this.#options = options;
    this.#db = db;
    this.#sql = prepareStatements(db);
    this.#heapSnapshots = new InOrder(queueFor(options.pool ?? inlinePool), (packed) => {
      this.#addHeapSnapshot(packed);
    });
  }

  async writeExportData(block: Uint8Array): Promise<void> {
    for (const [key, value] of entriesOfBlock(block)) {
      if (key.startsWith('kv.')) this.#sql.addKV.run(key.slice('kv.'.length), value);
      else this.#addRecord(key, value);
    }
  }

  #addRecord(key: string, value: string): void {
    if (key.startsWith('snapshot.')) {
      const record = decodeHeapSnapshotRecord(key, value);
      if (record === undefined) return;
      const { vatID, snapPos, hash, inUse } = record;
      this.#sql.addSnapshot.run(vatID, snapPos, hash, inUse ? 1 : null);
    } else if (key.startsWith('transcript.')) {
      const record = decodeTranscriptSpanRecord(key, value);
      const { vatID, startPos, endPos, hash, isCurrent, incarnation } = record;
      this.#sql.addSpan.run(vatID, startPos, endPos, hash, isCurrent ? 1 : null, incarnation);
    } else {
      this.#sql.addBundle.run(decodeBundleRecord(key, value));
    }
  }

  async writeArtifact(name: string, content: ArtifactContent): Promise<void> {
    const parsed = parseArtifactName(name);
    switch (parsed.kind) {
      case 'snapshot':
        return 'bytes' in content
          ? this.#heapSnapshots.add(this.#packed(parsed, content.bytes), content.bytes.length)
          : this.#writeHeapSnapshot(parsed, name, piecesOf(content));
      case 'transcript':
        return this.#writeSpan(parsed, piecesOf(content));
      case 'bundle':
        return this.#writeBundle(parsed.bundleID, name, piecesOf(content));
    }
  }

  async #packed({ vatID, snapPos }: HeapSnapshotName, bytes: Uint8Array): Promise<PackedHeap> {
    const { gzipLevel: level, pool = inlinePool } = this.#options;
    const size = bytes.length;
    return { vatID, snapPos, size, blob: await pool.run(packing, { bytes, level }, [bytes]) };
  }

  #addHeapSnapshot({ vatID, snapPos, size, blob }: PackedHeap): void {
    this.#sql.populateSnapshot.run(size, blob.length, blob, vatID, snapPos);
  }

  async #writeHeapSnapshot(
    { vatID, snapPos }: HeapSnapshotName,
    name: string,
    data: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    let size = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const piece of data) {
        size += piece.length;
        yield piece;
      }
    }
    const blob = await gzipWhole(counted(), {
      level: this.#options.gzipLevel,
      maxBytes: MAX_BLOB_BYTES,
      scratchFile: join(this.#work.path, 'heap.gz'),
      tooLarge: (bytes) => blobTooLarge(name, bytes),
    });
    this.#addHeapSnapshot({ vatID, snapPos, size, blob });
  }

  async #writeSpan(
    { vatID, startPos }: Extract<ArtifactName, { kind: 'transcript' }>,
    data: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const incarnation = this.#sql.incarnationOf.get(vatID, startPos);
    let position = startPos;
    for await (const block of wholeLines(data, vatID)) {
      for (const line of linesOf(block)) {
        this.#sql.addItem.run(vatID, itemOfLine(line), position, incarnation);
        position += 1;
      }
    }
  }

  async #writeBundle(
    bundleID: string,
    name: string,
    data: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const pieces: Uint8Array[] = [];
    for await (const piece of data) pieces.push(piece);
    const [only] = pieces;
    const bytes = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
    if (bytes.length > MAX_BLOB_BYTES) throw blobTooLarge(name, bytes.length);
    const stored = bundleID.startsWith('b0-') ? canonicalNestedEvaluateBundle(bytes) : bytes;
    this.#sql.populateBundle.run(stored, bundleID);
  }

  async finish(summary: ExportSummary): Promise<InstalledStore> {
    await this.#heapSnapshots.end();
    this.#sql.addKV.run('host.height', String(summary.height));
    this.#db.exec('COMMIT');
    const mode: RestoreMode =
      summary.artifactMode === 'none' ? 'operational' : summary.artifactMode;
    const lack = findLack(this.#db, mode);
    if (lack !== undefined) {
      throw new VerificationError('INCOMPLETE', 'the new SwingStore would lack artifacts', {
        path: this.#stateDir,
        expected: `a store that is complete for mode ${mode}`,
        found: lack,
      });
    }
    // The node expects WAL mode; an empty, checkpointed WAL goes away when the last handle closes.
    this.#db.pragma('locking_mode = NORMAL');
    this.#db.pragma('journal_mode = WAL');
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
    this.#db.close();
    await this.#options.beforeInstall?.(this.#work.path, summary);
    const installed = await installStore(this.#stateDir, this.#work.path, {
      replace: this.#options.replace,
      height: summary.height,
    });
    this.#work.remove();
    return installed;
  }

  async abort(): Promise<void> {
    await this.#heapSnapshots.settled();
    this.#db.close();
    this.#work.remove();
    await unmakeDirectories(this.#madeAbove);
  }
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(db: Database.Database) {
  return {
    addKV: db.prepare('INSERT INTO kvStore (key, value) VALUES (?, ?)'),
    addSnapshot: db.prepare(
      'INSERT INTO snapshots (vatID, snapPos, hash, inUse) VALUES (?, ?, ?, ?)',
    ),
    addSpan: db.prepare(
      `INSERT INTO transcriptSpans (vatID, startPos, endPos, hash, isCurrent, incarnation)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    addBundle: db.prepare('INSERT INTO bundles (bundleID, bundle) VALUES (?, NULL)'),
    populateSnapshot: db.prepare(
      `UPDATE snapshots SET uncompressedSize = ?, compressedSize = ?, compressedSnapshot = ?
       WHERE vatID = ? AND snapPos = ?`,
    ),
    incarnationOf: db
      .prepare('SELECT incarnation FROM transcriptSpans WHERE vatID = ? AND startPos = ?')
      .pluck(),
    addItem: db.prepare(
      // An item comes as bytes of UTF-8, or as text.
      `INSERT INTO transcriptItems (vatID, item, position, incarnation)
       VALUES (?, CAST(? AS TEXT), ?, ?)`,
    ),
    populateBundle: db.prepare('UPDATE bundles SET bundle = ? WHERE bundleID = ?'),
  };
}
