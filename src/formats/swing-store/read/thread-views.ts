/**
 * Views of a pinned SwingStore in the threads of a pool, each with its own connection. What a thread packs or checks it
 * reads itself. The pinning thread makes sure that all views show the same commit.
 */
import type { Database } from '../../../io/sqlite.ts';
import { recipeFor, type Recipe } from '../../../io/threads/recipe.ts';
import { workerTask } from '../../../io/threads/task.ts';
import type { WholeContent } from '../../../swing-store-export/swing-store-export.ts';
import { unpackWhole } from '../heap-blob.ts';
import { prepareKVBlocks, type KVBlock, type KVRange } from './kv/kv-blocks.ts';
import { openStoreDatabase } from './pin.ts';
import {
  bundleBlocks,
  heapSnapshotBlob,
  spanBlocks,
  wholeOf,
  type HeapSnapshotKey,
  type SpanKey,
} from './stored-content.ts';

interface View {
  readonly db: Database;
  readonly readBlock: (range: KVRange) => KVBlock;
}

/** The views of this thread, by their ids. */
const views = new Map<string, View>();

/** Pins a view of the database at `path`. */
export function pinView({ id, path }: { readonly id: string; readonly path: string }): void {
  const db = openStoreDatabase(path);
  try {
    // A small cache is enough: each page is read once.
    db.pragma('cache_size = -2000');
    db.exec('BEGIN');
    // The first read pins the view.
    db.prepare('SELECT 1 FROM kvStore LIMIT 1').get();
    views.set(id, { db, readBlock: prepareKVBlocks(db) });
  } catch (error) {
    db.close();
    throw error;
  }
}

export function releaseView(id: string): void {
  views.get(id)?.db.close();
  views.delete(id);
}

export const pinningView = workerTask(import.meta.url, pinView);
export const releasingView = workerTask(import.meta.url, releaseView);

function viewOf(id: string): View {
  const view = views.get(id);
  if (view === undefined) throw new Error('this thread has no view of the SwingStore');
  return view;
}

/** What a thread reads through its view. */
interface InView<Key> {
  readonly view: string;
  readonly key: Key;
}

export function readKVBlock({ view, key }: InView<KVRange>): KVBlock {
  return viewOf(view).readBlock(key);
}

export const readingKVBlock = workerTask(import.meta.url, readKVBlock);

interface NamedHeapSnapshot extends HeapSnapshotKey {
  /** Name of the artifact, for errors. */
  readonly name: string;
  /** Bytes of its content, as its row says. */
  readonly size: number;
}

/** Throws as {@link unpackWhole}. */
export function readHeapSnapshot({
  view,
  key,
}: InView<NamedHeapSnapshot>): WholeContent | undefined {
  const { name, size } = key;
  return unpackWhole({ name, blob: heapSnapshotBlob(viewOf(view).db, key), size });
}

/** Throws as {@link spanBlocks}. */
export function readSpan({ view, key }: InView<SpanKey>): WholeContent | undefined {
  return wholeOf(spanBlocks(viewOf(view).db, key));
}

/** Throws as {@link bundleBlocks}. */
export function readBundle({ view, key }: InView<string>): WholeContent | undefined {
  return wholeOf(bundleBlocks(viewOf(view).db, key));
}

const readingHeapSnapshot = workerTask(import.meta.url, readHeapSnapshot);
const readingSpan = workerTask(import.meta.url, readSpan);
const readingBundle = workerTask(import.meta.url, readBundle);

/** Recipes for content, to be followed in threads that have the view. */
export interface ViewRecipes {
  heapSnapshot(key: NamedHeapSnapshot): Recipe<WholeContent | undefined>;
  span(key: SpanKey): Recipe<WholeContent | undefined>;
  bundle(bundleID: string): Recipe<WholeContent | undefined>;
}

export function recipesIn(view: string): ViewRecipes {
  return {
    heapSnapshot: (key) => recipeFor(readingHeapSnapshot, { view, key }),
    span: ({ vatID, startPos, endPos }) =>
      recipeFor(readingSpan, { view, key: { vatID, startPos, endPos } }),
    bundle: (key) => recipeFor(readingBundle, { view, key }),
  };
}
