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
import { InOrder } from '../../../io/flow/in-order.ts';
import { secretDatabaseName } from '../../../io/sqlite.ts';
import { inlinePool, queueFor, type WorkerPool } from '../../../io/threads/pool.ts';
import type { RestoreMode } from '../../../swing-store-export/artifact-mode.ts';
import { canonicalNestedEvaluateBundle } from '../../../swing-store-export/bundle/check-bundle.ts';
import { parseArtifactName, type ArtifactName } from '../../../swing-store-export/names.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ExportSink,
  type ExportSummary,
} from '../../../swing-store-export/swing-store-export.ts';
import { packing } from '../heap-blob.ts';
import { blobTooLarge, DATABASE_FILE, MAX_BLOB_BYTES } from '../layout.ts';
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

type HeapSnapshotName = Extract<ArtifactName, { kind: 'snapshot' }>;

class SwingStoreBuilder implements ExportSink<BuiltStore> {
  readonly #site: Site;
  readonly #options: BuildSwingStoreOptions;
  readonly #database: DatabaseWriter;
  /** Heap snapshots that are being gzipped. */
  readonly #heapSnapshots: InOrder<StoredHeapSnapshot>;

  constructor(site: Site, options: BuildSwingStoreOptions, database: DatabaseWriter) {
    this.#site = site;
    this.#options = options;
    this.#database = database;
    this.#heapSnapshots = new InOrder(queueFor(options.pool ?? inlinePool), async (heap) =>
      this.#addHeapSnapshot(heap),
    );
  }

  async writeExportData(block: Uint8Array): Promise<void> {
    const order = { method: 'addExportData', argument: block } as const;
    await this.#database.add(order, block.length, [block]);
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
        return this.#writeBundle(parsed.bundleID, name, content);
    }
  }

  async #packed(
    { vatID, snapPos }: HeapSnapshotName,
    bytes: Uint8Array,
  ): Promise<StoredHeapSnapshot> {
    const { gzipLevel: level, pool = inlinePool } = this.#options;
    const size = bytes.length;
    return { vatID, snapPos, size, blob: await pool.run(packing, { bytes, level }, [bytes]) };
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
    const stored = bundleID.startsWith('b0-') ? textOf(bundleID, bytes, sha256) : bytes;
    const order = { method: 'addBundle', argument: { bundleID, stored } } as const;
    await this.#database.add(order, bytes.length, typeof stored === 'string' ? [] : [stored]);
  }

  async finish(summary: ExportSummary): Promise<BuiltStore> {
    await this.#heapSnapshots.end();
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
    await this.#heapSnapshots.settled();
    await this.#database.abort();
    const { place, work, made } = this.#site;
    work.remove();
    place.close();
    await unmakeDirectories(made);
  }
}

/**
 * The text that a store keeps for a checked `b0-` bundle. The bundle's id is the hash of this text.
 * @param sha256 of `bytes`, if known
 */
function textOf(bundleID: string, bytes: Uint8Array, sha256: string | undefined): string {
  return sha256 !== undefined && bundleID === `b0-${sha256}`
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
    : canonicalNestedEvaluateBundle(bytes);
}
