/** Opens a live SwingStore as an export, which can be byte for byte that of the reference's `makeSwingStoreExporter`. */
import { SwingSnapError } from '../../../errors.ts';
import type { ProgressTotal } from '../../../io/progress.ts';
import { given, recipeFor, type Recipe } from '../../../io/threads/recipe.ts';
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
  type WholeContent,
} from '../../../swing-store-export/swing-store-export.ts';
import { visitOfOne } from '../../../swing-store-export/visits.ts';
import { findLack } from '../completeness.ts';
import { unpackPieces, unpacking, type NamedBlob } from '../heap-blob.ts';
import { databasePath } from '../layout.ts';
import { kvLines, kvLinesBy } from './kv/kv-lines.ts';
import { checkedRow, refuseOddKeys, withOddValue } from './odd-rows.ts';
import { PinnedStore, type PinOptions } from './pinned-store.ts';
import { artifactsTotal, exportDataTotal, SPANS_OF } from './sizes.ts';
import { bundleBlocks, heapSnapshotBlob, spanBlocks, wholeOf } from './stored-content.ts';
import type { ViewRecipes } from './thread-views.ts';

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

/**
 * A pinned store as an export. Closing the export closes the store.
 * @param asReference whether the export data has keys without a value, as the reference gives them; otherwise it is
 *   canonical
 */
export function exportOfPinned(
  pinned: PinnedStore,
  artifactMode: ArtifactMode,
  asReference = false,
): LiveSwingStore {
  return new PinnedExport(pinned, artifactMode, asReference);
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

interface SizedSnapshotRow extends SnapshotRow {
  /** Bytes, uncompressed. A pruned heap snapshot may have none. */
  readonly size: unknown;
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

class PinnedExport implements LiveSwingStore {
  readonly #pinned: PinnedStore;
  readonly artifactMode: ArtifactMode;
  readonly #asReference: boolean;
  #exportDataTotal: ProgressTotal | undefined;
  #artifactsTotal: ProgressTotal | undefined;

  constructor(pinned: PinnedStore, artifactMode: ArtifactMode, asReference: boolean) {
    this.#pinned = pinned;
    this.artifactMode = artifactMode;
    this.#asReference = asReference;
  }

  get location(): string {
    return databasePath(this.#pinned.stateDir);
  }

  get height(): number {
    return this.#pinned.height;
  }

  /** Measured once. */
  estimate(part: 'export data' | 'artifacts'): ProgressTotal {
    if (part === 'export data') return (this.#exportDataTotal ??= exportDataTotal(this.#db));
    return (this.#artifactsTotal ??= artifactsTotal(this.#db, this.artifactMode));
  }

  completeFor(): RestoreMode | undefined {
    return (['archival', 'replay', 'operational'] as const).find(
      (mode) => findLack(this.#db, mode) === undefined,
    );
  }

  get #db(): PinnedStore['db'] {
    return this.#pinned.db;
  }

  get #recipes(): ViewRecipes | undefined {
    return this.#pinned.readers?.recipes;
  }

  /** @throws {VerificationError} `STORE_VALUE` for a row that no node writes */
  async *exportData(): AsyncGenerator<Uint8Array> {
    const { readers } = this.#pinned;
    const withNulls = this.#asReference;
    refuseOddKeys(this.#db, this.location);
    try {
      yield* readers === undefined
        ? kvLines(this.#db, { withNulls })
        : kvLinesBy(readers, this.#db, withNulls);
    } catch (error) {
      throw withOddValue(this.#db, this.location, error);
    }
    yield* blocksOfLines(this.#recordLines());
  }

  *#checked<Row extends object>(
    table: Parameters<typeof checkedRow>[1],
    rows: Iterable<unknown>,
  ): Generator<Row> {
    for (const row of rows) yield checkedRow(this.location, table, row as Row);
  }

  *#recordLines(): Generator<string> {
    for (const inUse of [true, false]) {
      const rows = this.#db.prepare(
        `SELECT vatID, snapPos, hash, typeof(compressedSnapshot) AS compressedSnapshot
         FROM snapshots WHERE inUse IS ? ORDER BY vatID, snapPos`,
      );
      for (const row of this.#checked<SnapshotRow>('snapshots', rows.iterate(inUse ? 1 : null))) {
        for (const entry of heapSnapshotEntries({ ...row, inUse })) yield JSON.stringify(entry);
      }
    }
    for (const row of this.#spans('')) {
      yield JSON.stringify(transcriptSpanEntry({ ...row, isCurrent: row.isCurrent === 1 }));
    }
    for (const bundleID of this.#bundleIDs()) yield JSON.stringify(bundleEntry(bundleID));
  }

  #spans(where: string): Iterable<SpanRow> {
    const rows = this.#db.prepare(
      `SELECT ${SPAN_COLUMNS} FROM transcriptSpans ${where} ORDER BY vatID, startPos`,
    );
    return this.#checked<SpanRow>('transcriptSpans', rows.iterate());
  }

  *#bundleIDs(): Generator<string> {
    const rows = this.#db.prepare(
      'SELECT bundleID, typeof(bundle) AS bundle FROM bundles ORDER BY bundleID',
    );
    for (const { bundleID } of this.#checked<{ bundleID: string }>('bundles', rows.iterate())) {
      yield bundleID;
    }
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
      const name = `bundle.${bundleID}`;
      yield inBlocks(name, () => bundleBlocks(this.#db, bundleID), this.#recipes?.bundle(bundleID));
    }
  }

  *#heapSnapshots(mode: ArtifactMode): Generator<ExportArtifact> {
    for (const inUse of mode === 'debug' ? [1, null] : [1]) {
      const rows = this.#db.prepare(
        `SELECT vatID, snapPos, uncompressedSize AS size FROM snapshots
         WHERE inUse IS ? AND compressedSnapshot IS NOT NULL ORDER BY vatID, snapPos`,
      );
      for (const row of this.#checked<SizedSnapshotRow>('snapshots', rows.iterate(inUse))) {
        const { vatID, snapPos, size } = row;
        const name = `snapshot.${vatID}.${snapPos}`;
        const key = { vatID, snapPos };
        const named = (): NamedBlob => ({ name, blob: heapSnapshotBlob(this.#db, key) });
        const data = (): AsyncIterable<Uint8Array> => unpackPieces(named());
        const isSmall = typeof size === 'number' && size <= WHOLE_MAX_BYTES;
        yield isSmall
          ? {
              name,
              size,
              data,
              visit: visitOfOne(
                async () =>
                  this.#recipes?.heapSnapshot({ ...key, name, size }) ??
                  recipeFor(unpacking, { ...named(), size }),
              ),
            }
          : { name, size: typeof size === 'number' ? size : undefined, data };
      }
    }
  }

  *#transcriptSpans(mode: Exclude<ArtifactMode, 'none'>): Generator<ExportArtifact> {
    const where =
      mode === 'debug'
        ? `endPos - startPos = (SELECT count(*) FROM transcriptItems i
             WHERE i.vatID = transcriptSpans.vatID AND position >= startPos AND position < endPos)`
        : SPANS_OF[mode];
    for (const row of this.#spans(`WHERE ${where}`)) {
      const name = `transcript.${row.vatID}.${row.startPos}.${row.endPos}`;
      yield inBlocks(name, () => spanBlocks(this.#db, row), this.#recipes?.span(row));
    }
  }

  async close(): Promise<void> {
    await this.#pinned.close();
  }
}

/** @param recipe its content, for another thread to read; if undefined, the recipe holds what was read here */
function inBlocks(
  name: string,
  blocks: () => Iterable<Buffer>,
  recipe: Recipe<WholeContent | undefined> | undefined,
): ExportArtifact {
  async function* data(): AsyncGenerator<Uint8Array> {
    yield* blocks();
  }
  return { name, data, visit: visitOfOne(async () => recipe ?? given(wholeOf(blocks()))) };
}
