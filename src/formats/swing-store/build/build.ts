/**
 * Builds a new SwingStore, as the reference's `importSwingStore` does. The store is built in
 * `S/.swingsnap-restore-<id>/` and moved into place once it is durable.
 */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { VerificationError } from '../../../errors.ts';
import { gzipWhole } from '../../../io/bytes/gzip.ts';
import { countLines, wholeLines } from '../../../io/bytes/lines.ts';
import { gather } from '../../../io/bytes/pieces.ts';
import { HeldDirectory } from '../../../io/files/held-directory.ts';
import {
  makeDirectory,
  unmakeDirectories,
  type MadeDirectory,
} from '../../../io/files/made-directory.ts';
import { TEMPORARY_PREFIX } from '../../../io/files/scratch.ts';
import { statIfThere } from '../../../io/files/stat-if-there.ts';
import { namesOf, removeLeftovers, WorkDirectory } from '../../../io/files/work-directory.ts';
import { secretDatabaseName } from '../../../io/sqlite.ts';
import { inlinePool, type WorkerPool } from '../../../io/threads/pool.ts';
import type { RestoreMode } from '../../../swing-store-export/artifact-mode.ts';
import { parseArtifactName, type ArtifactName } from '../../../swing-store-export/names.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ExportSink,
  type ExportSummary,
  type Visit,
  type Visited,
} from '../../../swing-store-export/swing-store-export.ts';
import { bytesOf, Visits, type Made } from '../../../swing-store-export/visits.ts';
import { blobTooLarge, DATABASE_FILE, MAX_BLOB_BYTES } from '../layout.ts';
import {
  asBytes,
  makingRows,
  storedBundle,
  type ArtifactRow,
  type RowOptions,
} from './artifact-rows.ts';
import { DatabaseWriter } from './database-writer.ts';
import { installStore, makeDurable, refuseExistingStore, type InstalledStore } from './install.ts';
import type { StoredHeapSnapshot } from './new-database.ts';

export interface BuildSwingStoreOptions {
  /** Move an existing store aside instead of refusing. */
  readonly replace: boolean;
  /** zlib level of heap snapshots, 1 to 9. */
  readonly gzipLevel: number;
  /** Gzips heap snapshots; defaults to the calling thread. */
  readonly pool?: WorkerPool;
  /** Called with the directory of the finished database before it is installed; throws to refuse it. */
  readonly beforeInstall?: (staging: string, summary: ExportSummary) => Promise<void>;
}

const WORK_PREFIX = `${TEMPORARY_PREFIX}restore-`;

/** Removes the leftovers of killed builds from `stateDir`. */
export function removeDeadBuilds(stateDir: string): void {
  if (statIfThere(stateDir)?.isDirectory() !== true) return;
  removeLeftovers(stateDir, namesOf(WORK_PREFIX));
}

/** A SwingStore that is complete and durable, but not yet in place. */
export interface BuiltStore {
  /** Moves it into place. Throws what `installStore` throws. */
  install(): Promise<InstalledStore>;
}

/** Starts a SwingStore like {@link prepareSwingStore}; `finish` also installs it. */
export async function buildSwingStore(
  stateDir: string,
  options: BuildSwingStoreOptions,
): Promise<ExportSink<InstalledStore>> {
  const sink = await prepareSwingStore(stateDir, options);
  return {
    writeExportData: async (block) => sink.writeExportData(block),
    ...(sink.visit && { visit: sink.visit.bind(sink) }),
    writeArtifact: async (name, content, identity) => sink.writeArtifact(name, content, identity),
    finish: async (summary) => (await sink.finish(summary)).install(),
    abort: async () => sink.abort(),
  };
}

/**
 * Starts a SwingStore in `stateDir`, and makes that directory if it is missing. The caller can abort it until it is
 * installed.
 * @throws {SwingSnapError} `STORE_EXISTS` if a `swingstore.sqlite*` exists and `replace` is off
 */
export async function prepareSwingStore(
  stateDir: string,
  options: BuildSwingStoreOptions,
): Promise<ExportSink<BuiltStore>> {
  if (!options.replace) await refuseExistingStore(stateDir);
  const made = await makeDirectory(stateDir, { ownedAsAbove: true });
  let place: HeldDirectory | undefined;
  let work: WorkDirectory | undefined;
  try {
    place = HeldDirectory.openLinked(stateDir);
    work = WorkDirectory.make(place.path, WORK_PREFIX);
    const path = join(work.path, secretDatabaseName());
    const database = await DatabaseWriter.start(path, options.pool ?? inlinePool);
    return new SwingStoreBuilder({ place, work, made, path }, options, database);
  } catch (error) {
    work?.remove();
    place?.close();
    await unmakeDirectories(made);
    throw error;
  }
}

/** Where a store is built. */
interface Site {
  /** The state dir. */
  readonly place: HeldDirectory;
  readonly work: WorkDirectory;
  readonly made: readonly MadeDirectory[];
  /** Path of the database while it is filled. */
  readonly path: string;
}

/** A blob has at most about this part of the bytes of its heap snapshot. */
const BLOB_SHARE = 3;

type HeapSnapshotName = Extract<ArtifactName, { kind: 'snapshot' }>;

class SwingStoreBuilder implements ExportSink<BuiltStore> {
  readonly #site: Site;
  readonly #options: BuildSwingStoreOptions;
  readonly #database: DatabaseWriter;
  /** Artifacts that threads turn into rows. */
  readonly #visits: Visits<RowOptions, ArtifactRow>;

  constructor(site: Site, options: BuildSwingStoreOptions, database: DatabaseWriter) {
    this.#site = site;
    this.#options = options;
    this.#database = database;
    // Rows stand in the order of their keys, whichever is added first.
    this.#visits = new Visits(options.pool ?? inlinePool, makingRows, 'in any order');
  }

  async writeExportData(block: Uint8Array): Promise<void> {
    const order = { method: 'addExportData', argument: block } as const;
    await this.#database.add(order, block.length, [block]);
  }

  async visit(visit: Visit): Promise<Visited> {
    const names = visit.artifacts.map(({ name }) => name);
    const options = { names, gzipLevel: this.#options.gzipLevel };
    return this.#visits.begin(
      visit,
      options,
      bytesOf(visit.artifacts) / BLOB_SHARE,
      async (rows) => {
        for (const [at, row] of rows.entries()) {
          if (row !== undefined) await this.#addRow(parseArtifactName(names[at] ?? ''), row);
        }
      },
    );
  }

  async #addRow(
    name: ArtifactName,
    { size, stored }: Exclude<Made<ArtifactRow>, undefined>,
  ): Promise<void> {
    switch (name.kind) {
      case 'snapshot': {
        const blob = asBytes(stored);
        return this.#addHeapSnapshot({ ...name, size, blob });
      }
      case 'transcript': {
        const block = asBytes(stored);
        const argument = { ...name, position: name.startPos, block };
        return this.#database.add({ method: 'addSpanLines', argument }, block.length, [block]);
      }
      case 'bundle':
        return this.#addBundle(name.bundleID, stored, size);
    }
  }

  async writeArtifact(name: string, content: ArtifactContent): Promise<void> {
    const parsed = parseArtifactName(name);
    switch (parsed.kind) {
      case 'snapshot':
        return this.#writeHeapSnapshot(parsed, name, piecesOf(content));
      case 'transcript':
        return this.#writeSpan(parsed, piecesOf(content));
      case 'bundle':
        return this.#writeBundle(parsed.bundleID, name, content);
    }
  }

  async #addHeapSnapshot(heap: StoredHeapSnapshot): Promise<void> {
    const { blob } = heap;
    const order = { method: 'addHeapSnapshot', argument: heap } as const;
    await this.#database.add(order, blob.length, [blob]);
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
      scratchFile: join(this.#site.work.path, 'heap.gz'),
      tooLarge: (bytes) => blobTooLarge(name, bytes),
    });
    await this.#addHeapSnapshot({ vatID, snapPos, size, blob });
  }

  async #writeSpan(
    { vatID, startPos }: Extract<ArtifactName, { kind: 'transcript' }>,
    data: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    let position = startPos;
    for await (const block of wholeLines(data, vatID)) {
      const items = countLines(block);
      const argument = { vatID, startPos, position, block };
      await this.#database.add({ method: 'addSpanLines', argument }, block.length, [block]);
      position += items;
    }
  }

  async #writeBundle(bundleID: string, name: string, content: ArtifactContent): Promise<void> {
    const bytes = await gather(piecesOf(content));
    if (bytes.length > MAX_BLOB_BYTES) throw blobTooLarge(name, bytes.length);
    const sha256 = 'bytes' in content ? content.sha256 : undefined;
    await this.#addBundle(bundleID, storedBundle(bundleID, bytes, sha256), bytes.length);
  }

  async #addBundle(bundleID: string, stored: Uint8Array | string, size: number): Promise<void> {
    const order = { method: 'addBundle', argument: { bundleID, stored } } as const;
    await this.#database.add(order, size, typeof stored === 'string' ? [] : [stored]);
  }

  async finish(summary: ExportSummary): Promise<BuiltStore> {
    await this.#visits.end();
    const { height } = summary;
    const mode: RestoreMode =
      summary.artifactMode === 'none' ? 'operational' : summary.artifactMode;
    const lack = await this.#database.finish({ height, mode });
    const { place, work, path } = this.#site;
    if (lack !== undefined) {
      throw new VerificationError('INCOMPLETE', 'the new SwingStore would lack artifacts', {
        path: place.location,
        expected: `a store that is complete for mode ${mode}`,
        found: lack,
      });
    }
    renameSync(path, join(work.path, DATABASE_FILE));
    await this.#options.beforeInstall?.(work.path, summary);
    await makeDurable(place, work.path);
    return { install: async () => this.#install(summary.height) };
  }

  async #install(height: number): Promise<InstalledStore> {
    const { replace } = this.#options;
    const { place, work } = this.#site;
    const installed = await installStore(place, work.path, { replace, height });
    work.remove();
    place.close();
    return installed;
  }

  async abort(): Promise<void> {
    await this.#visits.settled();
    await this.#database.abort();
    const { place, work, made } = this.#site;
    work.remove();
    place.close();
    await unmakeDirectories(made);
  }
}
