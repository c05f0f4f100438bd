/** The live SwingStore as an export: what the reference's `makeSwingStoreExporter` gives, byte for byte. */
import { createGunzip } from 'node:zlib';
import { SwingSnapError, VerificationError } from '../../errors.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import { wellFormed } from '../../io/utf8.ts';
import type { ArtifactMode, RestoreMode } from '../../swing-store-export/artifact-mode.ts';
import { blocksOfLines } from '../../swing-store-export/export-data.ts';
import {
  bundleEntry,
  heapSnapshotEntries,
  transcriptSpanEntry,
} from '../../swing-store-export/records.ts';
import type {
  ExportArtifact,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { findLack } from './completeness.ts';
import { kvLines } from './kv-lines.ts';
import { databasePath } from './layout.ts';
import { PinnedStore, type PinOptions } from './pinned-store.ts';

export interface OpenSwingStoreOptions extends PinOptions {
  readonly artifactMode: ArtifactMode;
}

/**
 * Opens the SwingStore in `stateDir` as an export of its last commit.
 * @throws as {@link PinnedStore.open}
 */
export async function openSwingStore(
  stateDir: string,
  options: OpenSwingStoreOptions,
): Promise<LiveSwingStore> {
  return exportOfPinned(await PinnedStore.open(stateDir, options), options.artifactMode);
}

/** A store that is pinned already, as an export; closing the export closes it. */
export function exportOfPinned(pinned: PinnedStore, artifactMode: ArtifactMode): LiveSwingStore {
  return new PinnedExport(pinned, artifactMode);
}

/** A live store as an export. */
export interface LiveSwingStore extends SwingStoreExport {
  /** The highest of `operational`, `replay` and `archival` that the store holds all artifacts of, if any. */
  completeFor(): RestoreMode | undefined;
}

interface SnapshotRow {
  vatID: string;
  snapPos: number;
  hash: string;
}

interface SpanRow {
  vatID: string;
  startPos: number;
  endPos: number;
  hash: string;
  isCurrent: 1 | null;
  incarnation: number;
}

const SPAN_COLUMNS = 'vatID, startPos, endPos, hash, isCurrent, incarnation';

const GUNZIP_PIECE_BYTES = 1024 * 1024;
const SPAN_BLOCK_BYTES = 256 * 1024;

class PinnedExport implements LiveSwingStore {
  readonly #pinned: PinnedStore;
  readonly artifactMode: ArtifactMode;

  constructor(pinned: PinnedStore, artifactMode: ArtifactMode) {
    this.#pinned = pinned;
    this.artifactMode = artifactMode;
  }

  get location(): string {
    return databasePath(this.#pinned.stateDir);
  }

  get height(): number {
    return this.#pinned.height;
  }

  estimate(part: 'export data' | 'artifacts'): ProgressTotal {
    const count = (from: string): number =>
      Number(this.#db.prepare(`SELECT count(*) FROM ${from}`).pluck().get());
    if (part === 'export data') return { items: count('kvStore'), unit: 'entries' };
    if (this.artifactMode === 'none') return { items: 0, unit: 'artifacts' };
    const spans =
      this.artifactMode === 'operational'
        ? 'transcriptSpans WHERE isCurrent = 1'
        : 'transcriptSpans';
    const items = count('snapshots WHERE inUse = 1') + count(spans) + count('bundles');
    return { items, unit: 'artifacts' };
  }

  completeFor(): RestoreMode | undefined {
    return (['archival', 'replay', 'operational'] as const).find(
      (mode) => findLack(this.#db, mode) === undefined,
    );
  }

  get #db(): PinnedStore['db'] {
    return this.#pinned.db;
  }

  async *exportData(): AsyncGenerator<Uint8Array> {
    yield* kvLines(this.#db);
    yield* blocksOfLines(this.#recordLines());
  }

  *#recordLines(): Generator<string> {
    for (const inUse of [true, false]) {
      const rows = this.#db.prepare(
        `SELECT vatID, snapPos, hash FROM snapshots WHERE inUse IS ? ORDER BY vatID, snapPos`,
      );
      for (const row of rows.iterate(inUse ? 1 : null) as IterableIterator<SnapshotRow>) {
        for (const entry of heapSnapshotEntries({ ...row, inUse })) yield JSON.stringify(entry);
      }
    }
    for (const row of this.#spans('')) {
      yield JSON.stringify(transcriptSpanEntry({ ...row, isCurrent: row.isCurrent === 1 }));
    }
    for (const bundleID of this.#bundleIDs()) yield JSON.stringify(bundleEntry(bundleID));
  }

  #spans(where: string): IterableIterator<SpanRow> {
    return this.#db
      .prepare(`SELECT ${SPAN_COLUMNS} FROM transcriptSpans ${where} ORDER BY vatID, startPos`)
      .iterate() as IterableIterator<SpanRow>;
  }

  #bundleIDs(): IterableIterator<string> {
    return this.#db
      .prepare('SELECT bundleID FROM bundles ORDER BY bundleID')
      .pluck()
      .iterate() as IterableIterator<string>;
  }

  /** @throws {SwingSnapError} `INCOMPLETE` if the store lacks an artifact of its mode (`debug` lists what is there) */
  async *artifacts(): AsyncGenerator<ExportArtifact> {
    const mode = this.artifactMode;
    if (mode === 'none') return;
    const lack = mode === 'debug' ? undefined : findLack(this.#db, mode);
    if (lack !== undefined) {
      throw new SwingSnapError('INCOMPLETE', `the SwingStore has no complete ${mode} export`, {
        path: this.location,
        found: lack,
        hint:
          mode === 'operational'
            ? 'the store is damaged: restore it, or export with --artifact-mode debug'
            : 'the store was pruned: use --artifact-mode operational',
      });
    }
    yield* this.#heapSnapshots(mode);
    yield* this.#transcriptSpans(mode);
    for (const bundleID of this.#bundleIDs()) {
      yield { name: `bundle.${bundleID}`, data: () => this.#bundle(bundleID) };
    }
  }

  *#heapSnapshots(mode: ArtifactMode): Generator<ExportArtifact> {
    for (const inUse of mode === 'debug' ? [1, null] : [1]) {
      const rows = this.#db.prepare(
        `SELECT vatID, snapPos FROM snapshots
         WHERE inUse IS ? AND compressedSnapshot IS NOT NULL ORDER BY vatID, snapPos`,
      );
      for (const { vatID, snapPos } of rows.iterate(inUse) as IterableIterator<SnapshotRow>) {
        yield {
          name: `snapshot.${vatID}.${String(snapPos)}`,
          data: () => this.#heapSnapshot(vatID, snapPos),
        };
      }
    }
  }

  *#transcriptSpans(mode: Exclude<ArtifactMode, 'none'>): Generator<ExportArtifact> {
    // Spans of vats without a current span belong to vats that are being deleted.
    const where = {
      operational: 'WHERE isCurrent = 1',
      replay: `WHERE incarnation = (SELECT c.incarnation FROM transcriptSpans c
                 WHERE c.vatID = transcriptSpans.vatID AND c.isCurrent = 1)`,
      archival: 'WHERE vatID IN (SELECT vatID FROM transcriptSpans WHERE isCurrent = 1)',
      debug: `WHERE endPos - startPos = (SELECT count(*) FROM transcriptItems i
                 WHERE i.vatID = transcriptSpans.vatID AND position >= startPos AND position < endPos)`,
    }[mode];
    for (const row of this.#spans(where)) {
      yield {
        name: `transcript.${row.vatID}.${String(row.startPos)}.${String(row.endPos)}`,
        data: () => this.#span(row),
      };
    }
  }

  async *#heapSnapshot(vatID: string, snapPos: number): AsyncGenerator<Uint8Array> {
    const blob = this.#db
      .prepare('SELECT compressedSnapshot FROM snapshots WHERE vatID = ? AND snapPos = ?')
      .pluck()
      .get(vatID, snapPos) as Buffer;
    const gunzip = createGunzip({ chunkSize: GUNZIP_PIECE_BYTES });
    gunzip.end(blob);
    try {
      yield* gunzip as AsyncIterable<Buffer>;
    } catch (cause) {
      throw new VerificationError('DAMAGED_BLOB', 'a heap snapshot in the SwingStore is damaged', {
        path: `snapshot.${vatID}.${String(snapPos)}`,
        found: cause instanceof Error ? cause.message : String(cause),
        cause,
      });
    }
  }

  async *#span({ vatID, startPos, endPos }: SpanRow): AsyncGenerator<Uint8Array> {
    // As bytes, since an item may be long and nothing here looks into it; NULL reads as it does in a template string.
    const lines = this.#db
      .prepare(
        `SELECT CAST(coalesce(item, 'null') || char(10) AS BLOB) FROM transcriptItems
         WHERE vatID = ? AND position >= ? AND position < ? ORDER BY position`,
      )
      .pluck()
      .iterate(vatID, startPos, endPos) as IterableIterator<Buffer>;
    let count = 0;
    const block: Buffer[] = [];
    let length = 0;
    for (const line of lines) {
      count += 1;
      block.push(line);
      length += line.length;
      if (length >= SPAN_BLOCK_BYTES) {
        yield joined(block.splice(0));
        length = 0;
      }
    }
    if (block.length > 0) yield joined(block);
    if (count !== endPos - startPos) {
      throw new SwingSnapError('INCOMPLETE', 'a transcript span in the SwingStore is incomplete', {
        path: `transcript.${vatID}.${String(startPos)}.${String(endPos)}`,
        expected: `${String(endPos - startPos)} items`,
        found: `${String(count)} items`,
      });
    }
  }

  async *#bundle(bundleID: string): AsyncGenerator<Uint8Array> {
    const bundle = this.#db
      .prepare('SELECT bundle FROM bundles WHERE bundleID = ?')
      .pluck()
      .get(bundleID) as Buffer | string | null;
    if (bundle === null || bundle === '') {
      throw new SwingSnapError('INCOMPLETE', 'a bundle in the SwingStore was pruned', {
        path: `bundle.${bundleID}`,
      });
    }
    yield typeof bundle === 'string' ? Buffer.from(bundle) : bundle;
  }

  async close(): Promise<void> {
    this.#pinned.close();
  }
}

function joined(lines: readonly Buffer[]): Buffer {
  const [only] = lines;
  return wellFormed(lines.length === 1 && only !== undefined ? only : Buffer.concat(lines));
}
