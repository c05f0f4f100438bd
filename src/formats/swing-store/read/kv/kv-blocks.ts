/**
 * Blocks of the consensus keys of a SwingStore, in key order. SQLite formats the lines of export data itself, a block
 * at a time: converting each row to JavaScript strings, and then to a line, takes twice as long.
 */
import { wellFormed } from '../../../../io/bytes/utf8.ts';
import type { Database, Statement } from '../../../../io/sqlite.ts';

/** A longer value gets a block of its own, so that blocks stay small even where long values are adjacent. */
const LARGE_VALUE_BYTES = 32 * 1024;

/**
 * For every well-formed string, SQLite's JSON text equals that of `JSON.stringify`. A BLOB could be SQLite's binary JSON,
 * which it would convert; the empty one is an error (`odd-rows.ts`).
 */
export const LINE = `json_array('kv.' || key, iif(typeof(value) IN ('text', 'null'), value, x'')) || char(10)`;
/** The keys that all nodes share. */
export const CONSENSUS = `NOT (key >= 'local.' AND key < 'local/') AND NOT (key >= 'host.' AND key < 'host/')`;

/** A range of keys, as bytes: a key that is not UTF-8 would change as a string, and so would its place in the order. */
export interface KVRange {
  readonly from: Uint8Array;
  /** Exclusive end; undefined for none. */
  readonly to?: Uint8Array | undefined;
  /** Maximum number of lines to read. */
  readonly limit: number;
  /**
   * Whether a key without a value has a line, as the reference's exporter gives it. Importers drop it, and canonical
   * export data has none.
   */
  readonly withNulls: boolean;
}

export interface KVBlock {
  /** Number of keys read. */
  readonly count: number;
  /** The last key read. */
  readonly last: Uint8Array | null;
  /** The first key that has no line because its value is large. */
  readonly large: Uint8Array | null;
  /** The lines of all other keys. */
  readonly lines: Uint8Array | undefined;
}

type BlockRow = [count: number, last: Buffer | null, large: Buffer | null, lines: Buffer | null];

/** Returns a function that reads the beginning of a range. */
export function prepareKVBlocks(db: Database): (range: KVRange) => KVBlock {
  const query = (range: string, rows: string): Statement =>
    db
      .prepare(
        `SELECT count(*), CAST(max(key) AS BLOB), CAST(min(iif(line IS NULL, key, NULL)) AS BLOB),
                CAST(group_concat(line, '') AS BLOB)
         FROM (SELECT key, iif(octet_length(value) <= ${LARGE_VALUE_BYTES}, ${LINE}, NULL) AS line
               FROM kvStore WHERE ${range} AND ${rows} ORDER BY key LIMIT ?)`,
      )
      .raw();
  const prepare = (rows: string): { readFrom: Statement; readBetween: Statement } => ({
    readFrom: query('key >= CAST(? AS TEXT)', rows),
    readBetween: query('key >= CAST(? AS TEXT) AND key < CAST(? AS TEXT)', rows),
  });
  const all = prepare(CONSENSUS);
  const withValue = prepare(`${CONSENSUS} AND value IS NOT NULL`);
  return ({ from, to, limit, withNulls }) => {
    const { readFrom, readBetween } = withNulls ? all : withValue;
    const row = to === undefined ? readFrom.get(from, limit) : readBetween.get(from, to, limit);
    const [count, last, large, lines] = row as BlockRow;
    return { count, last, large, lines: lines === null ? undefined : wellFormed(lines) };
  };
}
