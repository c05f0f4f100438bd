/**
 * Blocks of the consensus keys of a SwingStore, in key order. SQLite writes the lines of export data itself, a block at
 * a time: to make JavaScript strings of each row, and a line of those, takes twice as long.
 */
import { wellFormed } from '../../../io/bytes/utf8.ts';
import type { Database, Statement } from '../../../io/sqlite.ts';

/** A longer value gets a block of its own, so that a block stays small however many such stand together. */
const LARGE_VALUE_BYTES = 32 * 1024;

/** SQLite's JSON text is that of `JSON.stringify` for every well-formed string. */
export const LINE = `json_array('kv.' || key, value) || char(10)`;
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
         FROM (SELECT key, iif(octet_length(value) <= ${LARGE_VALUE_BYTES}, ${LINE}, NULL) AS line
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
