/** Compares an export with the live store that should hold it. */
import { createHash } from 'node:crypto';
import { SwingSnapError, VerificationError } from '../../errors.ts';
import { exportOfPinned, type LiveSwingStore } from '../../formats/swing-store/read/open.ts';
import { PinnedStore } from '../../formats/swing-store/read/pinned-store.ts';
import { DigestTap } from '../../io/bytes/digest.ts';
import { openScratchDatabase } from '../../io/files/scratch.ts';
import { cutAround } from '../../io/first-difference.ts';
import { Breath } from '../../io/flow/breath.ts';
import { noProgress, ofPass, type Progress, type ProgressTotal } from '../../io/progress.ts';
import type { Database } from '../../io/sqlite.ts';
import { differences, type Differences } from '../../modules/kit/differences.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { planOf } from '../../swing-store-export/copy-unverified.ts';
import { copyVerified, type VerifiedCopyOptions } from '../../swing-store-export/copy-verified.ts';
import { entriesOfBlock } from '../../swing-store-export/export-data/export-data.ts';
import type { RecordIndex } from '../../swing-store-export/export-data/record-index.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import { nullSink } from '../../swing-store-export/null-sink.ts';
import type {
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { watchPin } from '../store-view/bounds.ts';

/** Characters of a value that are shown. */
const MOST_OF_VALUE = 80;

/** How a store compares with an export that it holds. */
export interface StoreComparison {
  /** The database file. */
  readonly path: string;
  /** The mode in which the two were compared. */
  readonly artifactMode: ArtifactMode;
  /** Number of artifacts that are equal. */
  readonly equal: number;
  /** Number of further artifacts that only the store has. They are history, not differences. */
  readonly onlyInStore: number;
}

/**
 * Verifies `source`, then that the store in `stateDir` holds it: the same height, the same export data to the last
 * entry, and equal artifacts of the mode. Without a mode in `options`, the mode is the lesser of the source's and the
 * highest that the store is complete for.
 * @throws {VerificationError} `STORE_HEIGHT`; `STORE_DIFFERS` with the first ten differences
 */
export async function compareWithStore(
  source: SwingStoreExport,
  stateDir: string,
  options: VerifiedCopyOptions & { readonly scratchDir: string },
): Promise<{ summary: ExportSummary; store: StoreComparison }> {
  const { progress = noProgress, signal, scratchDir } = options;
  const { note } = progress;
  const pinned = await PinnedStore.open(stateDir, { scratchDir, note });
  const store = exportOfPinned(pinned, 'debug');
  const comparison = new Comparison(store.location, scratchDir);
  try {
    refuseOtherHeight(store, source.height);
    // Does not hold back the node's -wal while the source is read.
    pinned.unpin();
    let artifactMode = options.artifactMode ?? 'operational';
    const plan = planOf(source, options.artifactMode);
    progress.plan?.(plan);
    ofStore(progress).plan?.(plan);
    const { summary } = await copyVerified(source, async () => nullSink(options.pool), {
      ...options,
      inspect: (index, verified) => {
        options.inspect?.(index, verified);
        artifactMode = options.artifactMode ?? lesserMode(verified.artifactMode, store);
        comparison.expectArtifacts(index, artifactMode);
      },
    });
    pinned.pin();
    refuseOtherHeight(store, source.height);
    const lookout = watchPin(pinned, {}, signal);
    let onlyInStore: number;
    try {
      const again = ofStore(progress);
      const { exportData } = summary;
      again.phase('export data', { bytes: exportData.size });
      const hash = await hashExportData(store, progress, lookout.signal);
      if (hash !== summary.hashes?.exportDataHash) {
        progress.phase('differences of the export data');
        const expected = source.exportData({ scratchDir });
        await comparison.compareExportData(expected, store.exportData(), lookout.signal);
      }
      again.phase('artifacts', comparison.total);
      onlyInStore = await comparison.compareArtifacts(store, progress, lookout.signal);
    } finally {
      lookout.end();
    }
    comparison.refuseDifferences();
    const { equal } = comparison;
    return { summary, store: { path: store.location, artifactMode, equal, onlyInStore } };
  } finally {
    comparison.close();
    await store.close();
  }
}

/** The store is read like the source before it. */
function ofStore(progress: Progress): Progress {
  return ofPass('of the store', progress);
}

function refuseOtherHeight(store: SwingStoreExport, expected: number): void {
  if (store.height === expected) return;
  throw new VerificationError('STORE_HEIGHT', 'the SwingStore is at another height', {
    path: store.location,
    expected,
    found: store.height,
  });
}

function lesserMode(mode: ArtifactMode, store: LiveSwingStore): ArtifactMode {
  const ranking: readonly ArtifactMode[] = ['none', 'operational', 'replay', 'archival'];
  const held = store.completeFor() ?? 'operational';
  if (mode === 'debug') return held;
  return ranking.indexOf(mode) < ranking.indexOf(held) ? mode : held;
}

async function hashExportData(
  store: SwingStoreExport,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  const breath = new Breath();
  for await (const block of store.exportData()) {
    await breath.take();
    signal?.throwIfAborted();
    hash.update(block);
    progress.advance(block.length);
  }
  return hash.digest('hex');
}

/** The expected contents of a store, in a scratch database, and the differences found. */
class Comparison {
  readonly #db: Database;
  readonly #differences: Differences;
  equal = 0;

  constructor(path: string, scratchDir: string) {
    this.#differences = differences(path, 'STORE_DIFFERS');
    this.#db = openScratchDatabase(scratchDir);
    this.#db.exec(`
      CREATE TABLE artifacts (name TEXT PRIMARY KEY, size INTEGER, sha256 TEXT) WITHOUT ROWID;
      CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
    `);
  }

  expectArtifacts(index: RecordIndex, mode: ArtifactMode): void {
    const add = this.#db.prepare('INSERT INTO artifacts VALUES (?, ?, ?)');
    for (const { name, size, sha256 } of index.present()) {
      if (index.expect(parseArtifactName(name), mode) !== undefined) add.run(name, size, sha256);
    }
  }

  /** The artifacts to be compared. */
  get total(): ProgressTotal {
    const sql = 'SELECT count(*) AS items, coalesce(sum(size), 0) AS bytes FROM artifacts';
    const total = this.#db.prepare(sql).get() as { items: number; bytes: number };
    return { ...total, unit: 'artifacts' };
  }

  /** @returns the number of artifacts that only the store has */
  async compareArtifacts(
    store: SwingStoreExport,
    progress: Progress,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const find = this.#db.prepare('SELECT size, sha256 FROM artifacts WHERE name = ?');
    const drop = this.#db.prepare('DELETE FROM artifacts WHERE name = ?');
    let onlyInStore = 0;
    for await (const artifact of store.artifacts()) {
      signal?.throwIfAborted();
      const expected = find.get(artifact.name) as { size: number; sha256: string } | undefined;
      if (expected === undefined) {
        onlyInStore += 1;
        continue;
      }
      progress.advance(0, 1);
      drop.run(artifact.name);
      const found = await digestOf(artifact.data(), progress);
      if (found === expected.sha256) this.equal += 1;
      else
        this.#differences.differs(
          `artifact ${artifact.name} differs: expected ${expected.sha256}, found ${found}`,
        );
    }
    const missing = this.#db.prepare('SELECT name FROM artifacts ORDER BY name').pluck();
    for (const name of missing.iterate() as IterableIterator<string>) {
      this.#differences.differs(`artifact ${name} is missing from the store`);
    }
    return onlyInStore;
  }

  async compareExportData(
    expected: AsyncIterable<Uint8Array>,
    found: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const breath = new Breath();
    const add = this.#db.prepare('INSERT INTO entries VALUES (?, ?)');
    for await (const block of expected) {
      await breath.take();
      signal.throwIfAborted();
      for (const [key, value] of entriesOfBlock(block)) add.run(key, value);
    }
    const find = this.#db.prepare('SELECT value FROM entries WHERE key = ?').pluck();
    const drop = this.#db.prepare('DELETE FROM entries WHERE key = ?');
    for await (const block of found) {
      await breath.take();
      signal.throwIfAborted();
      for (const [key, value] of entriesOfBlock(block)) {
        const other = find.get(key);
        if (other === undefined) this.#differences.differs(`${key} is in the store only`);
        else if (other !== value) {
          const texts = [other, value].map((text) => JSON.stringify(text)) as [string, string];
          const [wanted, there] = cutAround(...texts, MOST_OF_VALUE);
          this.#differences.differs(`${key} differs: expected ${wanted}, found ${there}`);
        }
        drop.run(key);
      }
    }
    const missing = this.#db.prepare('SELECT key FROM entries ORDER BY key').pluck();
    for (const key of missing.iterate() as IterableIterator<string>) {
      this.#differences.differs(`${key} is missing from the store`);
    }
  }

  refuseDifferences(): void {
    this.#differences.refuse('the SwingStore differs from this export');
  }

  close(): void {
    this.#db.close();
  }
}

/** SHA-256 of an artifact in the store, or the error message if it cannot be read. */
async function digestOf(data: AsyncIterable<Uint8Array>, progress: Progress): Promise<string> {
  const tap = new DigestTap();
  try {
    for await (const piece of tap.through(data)) progress.advance(piece.length);
  } catch (error) {
    if (error instanceof SwingSnapError) return error.message;
    throw error;
  }
  return tap.finish().sha256;
}
