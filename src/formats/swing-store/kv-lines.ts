/**
 * The consensus keys of a SwingStore as lines of export data, in key order. SQLite writes the lines itself, a block
 * at a time: to make each row JavaScript strings, and those a line, takes twice as long.
 */
import type Database from 'better-sqlite3';
import { wellFormed } from '../../io/utf8.ts';

/** About how long a block is, in bytes. */
const BLOCK_BYTES = 256 * 1024;
const MAX_BLOCK_LINES = 1024;
/** A longer value gets a block of its own, so that a block stays small however many such stand together. */
const LARGE_VALUE_BYTES = 32 * 1024;

/** SQLite's JSON text is that of `JSON.stringify` for every well-formed string. */
const LINE = `json_array('kv.' || key, value) || char(10)`;
const CONSENSUS = `NOT (key >= 'local.' AND key < 'local/') AND NOT (key >= 'host.' AND key < 'host/')`;

/** Lines of the keys in a range; and of its keys, the last, and the first that has no line as its value is large. */
function blockQuery(range: string): string {
  // Keys go in and out as bytes: one that is not UTF-8 would come back as another, at another place in the order.
  return `
    SELECT count(*), CAST(max(key) AS BLOB), CAST(min(iif(line IS NULL, key, NULL)) AS BLOB),
           CAST(group_concat(line, '') AS BLOB)
    FROM (SELECT key, iif(octet_length(value) <= ${String(LARGE_VALUE_BYTES)}, ${LINE}, NULL) AS line
          FROM kvStore WHERE ${range} AND ${CONSENSUS} ORDER BY key LIMIT ?)`;
}

type BlockRow = [count: number, last: Buffer | null, large: Buffer | null, lines: Buffer | null];

/** Blocks of whole lines, UTF-8. */
export function* kvLines(db: Database.Database): Generator<Buffer> {
  const readFrom = db.prepare(blockQuery('key >= CAST(? AS TEXT)')).raw();
  const readBetween = db
    .prepare(blockQuery('key >= CAST(? AS TEXT) AND key < CAST(? AS TEXT)'))
    .raw();
  const readLarge = db
    .prepare(`SELECT CAST(${LINE} AS BLOB) FROM kvStore WHERE key = CAST(? AS TEXT)`)
    .pluck();

  let from: Buffer = Buffer.alloc(0);
  let limit = 16;
  for (;;) {
    const [count, last, large, lines] = readFrom.get(from, limit) as BlockRow;
    if (large !== null) {
      const [, , , before] = readBetween.get(from, large, limit) as BlockRow;
      if (before !== null) yield wellFormed(before);
      yield wellFormed(readLarge.get(large) as Buffer);
      from = following(large);
    } else if (last !== null && lines !== null) {
      yield wellFormed(lines);
      limit = Math.min(MAX_BLOCK_LINES, Math.ceil((BLOCK_BYTES * count) / lines.length));
      from = following(last);
    } else {
      return;
    }
  }
}

/** The least text that is greater. */
function following(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}
