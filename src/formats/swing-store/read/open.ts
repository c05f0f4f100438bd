/** Opens a live SwingStore as an export, byte for byte that of the reference's `makeSwingStoreExporter`. */
import { SwingSnapError } from '../../../errors.ts';
import type { ProgressTotal } from '../../../io/progress.ts';
import { given, recipeFor } from '../../../io/threads/recipe.ts';
import type { ArtifactMode, RestoreMode } from '../../../swing-store-export/artifact-mode.ts';
import { blocksOfLines } from '../../../swing-store-export/export-data/export-data.ts';
import {
  bundleEntry,
  heapSnapshotEntries,
  transcriptSpanEntry,
} from '../../../swing-store-export/export-data/records.ts';
import {
  WHOLE_MAX_BYTES,
  type ExportArtifact,
  type SwingStoreExport,
  type WholeRecipe,
} from '../../../swing-store-export/swing-store-export.ts';
import { findLack } from '../completeness.ts';
import { unpackPieces, unpacking, type NamedBlob } from '../heap-blob.ts';
import { databasePath } from '../layout.ts';
import { kvLines, kvLinesBy } from './kv-lines.ts';
import { PinnedStore, type PinOptions } from './pinned-store.ts';
import { bundleBlocks, heapSnapshotBlob, spanBlocks, wholeOf } from './stored-content.ts';

export interface OpenSwingStoreOptions extends PinOptions {
  readonly artifactMode: ArtifactMode;
}

/**
 * Opens the SwingStore in `stateDir` as an export of its last commit.
 * @throws what {@link PinnedStore.open} throws
 */
export async function openSwingStore(
  stateDir: string,
  options: OpenSwingStoreOptions,
): Promise<LiveSwingStore> {
  const pinned = await PinnedStore.open(stateDir, options);
  return exportOfPinned(pinned, options.artifactMode);
}

/** A pinned store as an export. Closing the export closes the store. */
export function exportOfPinned(pinned: PinnedStore, artifactMode: ArtifactMode): LiveSwingStore {
  return new PinnedExport(pinned, artifactMode);
}

/** A live store as an export. */
export interface LiveSwingStore extends SwingStoreExport {
  /** The highest of `operational`, `replay` and `archival` for which the store holds all artifacts, if any. */
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

/** Assumed size of a span or bundle: asking SQLite for the size takes as long as reading the content. */
const USUAL_BYTES = 1024 * 1024;

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
    const { readers } = this.#pinned;
    yield* readers === undefined ? kvLines(this.#db) : kvLinesBy(readers, this.#db);
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

  /** @throws {SwingSnapError} `INCOMPLETE` if the store lacks an artifact of its mode; never in mode `debug` */
  async *artifacts(): AsyncGenerator<ExportArtifact> {
    const mode = this.artifactMode;
    if (mode === 'none') return;
    const lack = mode === 'debug' ? undefined : findLack(this.#db, mode);
    if (lack !== undefined) {
      throw new SwingSnapError('INCOMPLETE', `the SwingStore is not complete for mode ${mode}`, {
        path: this.location,
        found: lack,
        hint:
          mode === 'operational'
            ? 'the store is damaged; restore it, or export with --artifact-mode debug'
            : 'the store was pruned; use --artifact-mode operational',
      });
    }
    yield* this.#heapSnapshots(mode);
    yield* this.#transcriptSpans(mode);
    for (const bundleID of this.#bundleIDs()) {
      yield inBlocks(`bundle.${bundleID}`, () => bundleBlocks(this.#db, bundleID));
    }
  }

  *#heapSnapshots(mode: ArtifactMode): Generator<ExportArtifact> {
    for (const inUse of mode === 'debug' ? [1, null] : [1]) {
      const rows = this.#db.prepare(
        `SELECT vatID, snapPos, uncompressedSize AS size FROM snapshots
         WHERE inUse IS ? AND compressedSnapshot IS NOT NULL ORDER BY vatID, snapPos`,
      );
      for (const row of rows.iterate(inUse) as IterableIterator<SnapshotRow & { size: number }>) {
        const { vatID, snapPos, size } = row;
        const name = `snapshot.${vatID}.${snapPos}`;
        const named = (): NamedBlob => ({ name, blob: heapSnapshotBlob(this.#db, vatID, snapPos) });
        const recipe = async (): Promise<WholeRecipe> => ({
          ...recipeFor(unpacking, named()),
          size,
        });
        yield {
          name,
          data: () => unpackPieces(named()),
          ...(size <= WHOLE_MAX_BYTES && { whole: { size, recipe } }),
        };
      }
    }
  }

  *#transcriptSpans(mode: Exclude<ArtifactMode, 'none'>): Generator<ExportArtifact> {
    // A vat without a current span is being deleted.
    const where = {
      operational: 'WHERE isCurrent = 1',
      replay: `WHERE incarnation = (SELECT c.incarnation FROM transcriptSpans c
                 WHERE c.vatID = transcriptSpans.vatID AND c.isCurrent = 1)`,
      archival: 'WHERE vatID IN (SELECT vatID FROM transcriptSpans WHERE isCurrent = 1)',
      debug: `WHERE endPos - startPos = (SELECT count(*) FROM transcriptItems i
                 WHERE i.vatID = transcriptSpans.vatID AND position >= startPos AND position < endPos)`,
    }[mode];
    for (const row of this.#spans(where)) {
      const name = `transcript.${row.vatID}.${row.startPos}.${row.endPos}`;
      yield inBlocks(name, () => spanBlocks(this.#db, row));
    }
  }

  async close(): Promise<void> {
    await this.#pinned.close();
  }
}

function inBlocks(name: string, blocks: () => Iterable<Buffer>): ExportArtifact {
  async function* data(): AsyncGenerator<Uint8Array> {
    yield* blocks();
  }
  const recipe = async (): Promise<WholeRecipe | undefined> => {
    const content = wholeOf(blocks());
    return content && { ...given(content), size: content.bytes.length };
  };
  return { name, data, whole: { size: USUAL_BYTES, recipe } };
}
