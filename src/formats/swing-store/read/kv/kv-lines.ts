/** The consensus keys of a SwingStore as lines of export data, in key order. */
import { wellFormed } from '../../../../io/bytes/utf8.ts';
import { mapAhead } from '../../../../io/flow/ahead.ts';
import type { Database } from '../../../../io/sqlite.ts';
import { LINE, prepareKVBlocks, type KVBlock, type KVRange } from './kv-blocks.ts';

/** Approximate size of a block. */
const BLOCK_BYTES = 1024 * 1024;
const MAX_BLOCK_LINES = 8192;

/** Yields blocks of whole UTF-8 lines of a range of keys, by default of all. */
export function* kvLines(
  db: Database,
  { from: start = Buffer.alloc(0), to, withNulls = true }: Partial<Omit<KVRange, 'limit'>> = {},
): Generator<Uint8Array> {
  const readBlock = prepareKVBlocks(db);
  const readLarge = db
    .prepare(`SELECT CAST(${LINE} AS BLOB) FROM kvStore WHERE key = CAST(? AS TEXT)`)
    .pluck();
  let from = start;
  let limit = 16;
  for (;;) {
    const { count, last, large, lines } = readBlock({ from, to, limit, withNulls });
    if (large !== null) {
      const before = readBlock({ from, to: large, limit, withNulls });
      if (before.lines !== undefined) yield before.lines;
      yield wellFormed(readLarge.get(large) as Buffer);
      from = following(large);
    } else if (last !== null && lines !== undefined) {
      yield lines;
      limit = linesOfBlock(count, lines.length);
      from = following(last);
    } else {
      return;
    }
  }
}

/** Threads that read the same view. */
export interface KVReaders {
  readonly count: number;
  readKVBlock(range: KVRange): Promise<KVBlock>;
}

/** Yields the same lines as {@link kvLines}, read by several threads at once. */
export async function* kvLinesBy(
  readers: KVReaders,
  db: Database,
  withNulls: boolean,
): AsyncGenerator<Uint8Array> {
  let limit = 16;
  const ranges = cutRanges(db, () => ({ limit, withNulls }));
  const limits = { items: 2 * readers.count + 1, bytes: Infinity, sizeOf: () => 0 };
  const blocks = mapAhead(ranges, limits, async (range) => ({
    range,
    block: await readers.readKVBlock(range),
  }));
  for await (const { range, block } of blocks) {
    const { count, large, lines } = block;
    if (large !== null) yield* kvLines(db, range);
    else if (lines !== undefined) {
      yield lines;
      limit = linesOfBlock(count, lines.length);
    }
  }
}

/** Cuts all keys into ranges of about a block each. It reads only an index, which holds no values. */
async function* cutRanges(
  db: Database,
  next: () => Pick<KVRange, 'limit' | 'withNulls'>,
): AsyncGenerator<KVRange> {
  const findNext = db
    .prepare(
      `SELECT CAST(key AS BLOB) FROM kvStore WHERE key >= CAST(? AS TEXT) ORDER BY key LIMIT 1 OFFSET ?`,
    )
    .pluck();
  let from: Uint8Array = Buffer.alloc(0);
  for (;;) {
    const { limit, withNulls } = next();
    const to = findNext.get(from, limit) as Buffer | undefined;
    yield { from, to, limit, withNulls };
    if (to === undefined) return;
    from = to;
  }
}

function linesOfBlock(count: number, bytes: number): number {
  return Math.min(MAX_BLOCK_LINES, Math.ceil((BLOCK_BYTES * count) / bytes));
}

/** The smallest key that is greater than `key`. */
function following(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.of(0)]);
}
