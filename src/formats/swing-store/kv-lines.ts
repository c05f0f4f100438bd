/**
 * The consensus keys of a SwingStore as lines of export data, in key order. SQLite writes the lines itself, a block
 * at a time: to make each row JavaScript strings, and those a line, takes twice as long.
 */
import { mapAhead } from '../../io/ahead.ts';
import { wellFormed } from '../../io/utf8.ts';
import type { KVReaders } from './kv-readers.ts';
import type { Database, Statement } from '../../io/sqlite.ts';

/** About how long a block is, in bytes. */
const BLOCK_BYTES = 1024 * 1024;
const MAX_BLOCK_LINES = 8192;
/** A longer value gets a block of its own, so that a block stays small however many such stand together. */
const LARGE_VALUE_BYTES = 32 * 1024;

/** SQLite's JSON text is that of `JSON.stringify` for every well-formed string. */
const LINE = `json_array('kv.' || key, value) || char(10)`;
const CONSENSUS = `NOT (key >= 'local.' AND key < 'local/') AND NOT (key >= 'host.' AND key < 'host/')`;

/** Keys from one on, as bytes: one that is not UTF-8 would come back as another, at another place in the order. */
export interface KVRange {
  readonly from: Uint8Array;
  /** The first key that is not in it any more; undefined for no end. */
  readonly to?: Uint8Array | undefined;
  /** How many lines to read at most. */
  readonly limit: number;
}

export interface KVBlock {
  /** Keys of the range that were looked at. */
  readonly count: number;
  /** The last of them. */
  readonly last: Uint8Array | null;
  /** The first of them that has no line, as its value is large. */
  readonly large: Uint8Array | null;
  /** The lines of all others. */
  readonly lines: Uint8Array | undefined;
}

type BlockRow = [count: number, last: Buffer | null, large: Buffer | null, lines: Buffer | null];

/** A function that reads the beginning of a range. */
export function prepareKVBlocks(db: Database): (range: KVRange) => KVBlock {
  const query = (range: string): Statement =>
    db
      .prepare(
        `SELECT count(*), CAST(max(key) AS BLOB), CAST(min(iif(line IS NULL, key, NULL)) AS BLOB),
                CAST(group_concat(line, '') AS BLOB)
         FROM (SELECT key, iif(octet_length(value) <= ${String(LARGE_VALUE_BYTES)}, ${LINE}, NULL) AS line
               FROM kvStore WHERE ${range} AND ${CONSENSUS} ORDER BY key LIMIT ?)`,
      )
      .raw();
  const readFrom = query('key >= CAST(? AS TEXT)');
  const readBetween = query('key >= CAST(? AS TEXT) AND key < CAST(? AS TEXT)');
  return ({ from, to, limit }) => {
    const row = to === undefined ? readFrom.get(from, limit) : readBetween.get(from, to, limit);
    const [count, last, large, lines] = row as BlockRow;
    return { count, last, large, lines: lines === null ? undefined : wellFormed(lines) };
  };
}

/** Blocks of whole lines, UTF-8, of the keys from one on up to another. */
export function* kvLines(
  db: Database,
  start: Uint8Array = Buffer.alloc(0),
  to?: Uint8Array,
): Generator<Uint8Array> {
  const readBlock = prepareKVBlocks(db);
  const readLarge = db
    .prepare(`SELECT CAST(${LINE} AS BLOB) FROM kvStore WHERE key = CAST(? AS TEXT)`)
    .pluck();
  let from = start;
  let limit = 16;
  for (;;) {
    const { count, last, large, lines } = readBlock({ from, to, limit });
    if (large !== null) {
      const before = readBlock({ from, to: large, limit });
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

/** The same as {@link kvLines}, read by several at once. */
export async function* kvLinesBy(readers: KVReaders, db: Database): AsyncGenerator<Uint8Array> {
  let limit = 16;
  const ranges = cutRanges(db, () => limit);
  const limits = { items: 2 * readers.count + 1, bytes: Infinity, sizeOf: () => 0 };
  const blocks = mapAhead(ranges, limits, async (range) => ({
    range,
    block: await readers.read(range),
  }));
  for await (const { range, block } of blocks) {
    const { count, large, lines } = block;
    if (large !== null) yield* kvLines(db, range.from, range.to);
    else if (lines !== undefined) {
      yield lines;
      limit = linesOfBlock(count, lines.length);
    }
  }
}

/** Cuts all keys into ranges of about a block each. It reads an index, which knows nothing of values. */
async function* cutRanges(db: Database, limitNow: () => number): AsyncGenerator<KVRange> {
  const findNext = db
    .prepare(
      `SELECT CAST(key AS BLOB) FROM kvStore WHERE key >= CAST(? AS TEXT) ORDER BY key LIMIT 1 OFFSET ?`,
    )
    .pluck();
  let from: Uint8Array = Buffer.alloc(0);
  for (;;) {
    const limit = limitNow();
    const to = findNext.get(from, limit) as Buffer | undefined;
    yield { from, to, limit };
    if (to === undefined) return;
    from = to;
  }
}

function linesOfBlock(count: number, bytes: number): number {
  return Math.min(MAX_BLOCK_LINES, Math.ceil((BLOCK_BYTES * count) / bytes));
}

/** The least text that is greater. */
function following(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.of(0)]);
}
