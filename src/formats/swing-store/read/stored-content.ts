/** Reads the content of artifacts from a SwingStore's tables. */
import { SwingSnapError } from '../../../errors.ts';
import { wellFormed } from '../../../io/bytes/utf8.ts';
import type { Database } from '../../../io/sqlite.ts';
import {
  WHOLE_MAX_BYTES,
  type WholeContent,
} from '../../../swing-store-export/swing-store-export.ts';

const SPAN_BLOCK_BYTES = 256 * 1024;

export interface SpanKey {
  readonly vatID: string;
  readonly startPos: number;
  readonly endPos: number;
}

export interface HeapSnapshotKey {
  readonly vatID: string;
  readonly snapPos: number;
}

/** The gzipped content of a heap snapshot. */
export function heapSnapshotBlob(db: Database, { vatID, snapPos }: HeapSnapshotKey): Buffer {
  return db
    .prepare('SELECT compressedSnapshot FROM snapshots WHERE vatID = ? AND snapPos = ?')
    .pluck()
    .get(vatID, snapPos) as Buffer;
}

/**
 * A transcript span in blocks of whole lines.
 * @throws {SwingSnapError} `INCOMPLETE`, at the end, if items are missing
 */
export function* spanBlocks(db: Database, { vatID, startPos, endPos }: SpanKey): Generator<Buffer> {
  // As bytes, because an item may be long and is not inspected here. NULL becomes 'null', as in a template string.
  const lines = db
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
      yield wellFormed(joined(block.splice(0)));
      length = 0;
    }
  }
  if (block.length > 0) yield wellFormed(joined(block));
  if (count !== endPos - startPos) {
    throw new SwingSnapError('INCOMPLETE', 'a transcript span in the SwingStore is incomplete', {
      path: `transcript.${vatID}.${startPos}.${endPos}`,
      expected: `${endPos - startPos} items`,
      found: `${count} items`,
    });
  }
}

/** The one block of a bundle. @throws {SwingSnapError} `INCOMPLETE` if it was pruned */
export function* bundleBlocks(db: Database, bundleID: string): Generator<Buffer> {
  const bundle = db
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

/** Joins blocks; undefined if they exceed {@link WHOLE_MAX_BYTES}. */
export function wholeOf(blocks: Iterable<Buffer>): WholeContent | undefined {
  const read: Buffer[] = [];
  let size = 0;
  for (const block of blocks) {
    read.push(block);
    size += block.length;
    if (size > WHOLE_MAX_BYTES) return undefined;
  }
  return { bytes: joined(read) };
}

function joined(blocks: readonly Buffer[]): Buffer {
  const [only] = blocks;
  return blocks.length === 1 && only !== undefined ? only : Buffer.concat(blocks);
}
