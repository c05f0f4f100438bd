/**
 * Refuses rows that no node writes. SQLite keeps any value in any column, and an importer would refuse some of them, or
 * lose them, only after they were published.
 */
import { VerificationError } from '../../../errors.ts';
import type { Database } from '../../../io/sqlite.ts';
import { isSafeID } from '../../../swing-store-export/names.ts';

interface Kind {
  readonly what: string;
  isOf(value: unknown): boolean;
}

const ID: Kind = {
  what: 'an id without "/", "\\", "." and white space',
  isOf: (value) => typeof value === 'string' && isSafeID(value),
};
const POSITION: Kind = {
  what: 'a whole number from 0 on',
  isOf: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
};
const HASH: Kind = {
  what: 'a hash, as text',
  isOf: (value) => typeof value === 'string' && value !== '',
};
const FLAG: Kind = { what: '1 or NULL', isOf: (value) => value === 1 || value === null };
const BLOB_TYPE: Kind = {
  what: 'a BLOB or NULL',
  isOf: (value) => value === 'blob' || value === 'null',
};
const BUNDLE_TYPE: Kind = {
  what: 'text, a BLOB or NULL',
  isOf: (value) => value === 'text' || BLOB_TYPE.isOf(value),
};

/** What the columns of each table hold. Of content, only the type is read. */
const COLUMNS = {
  snapshots: { vatID: ID, snapPos: POSITION, hash: HASH, compressedSnapshot: BLOB_TYPE },
  transcriptSpans: {
    vatID: ID,
    startPos: POSITION,
    endPos: POSITION,
    hash: HASH,
    isCurrent: FLAG,
    incarnation: POSITION,
  },
  bundles: { bundleID: ID, bundle: BUNDLE_TYPE },
} as const satisfies Record<string, Readonly<Record<string, Kind>>>;

/**
 * Checks the columns that a row has.
 * @param path of the database, for the error
 * @returns the row
 * @throws {VerificationError} `STORE_VALUE` with the table, the column, and the row
 */
export function checkedRow<Row extends object>(
  path: string,
  table: keyof typeof COLUMNS,
  row: Row,
): Row {
  for (const [column, kind] of Object.entries<Kind>(COLUMNS[table])) {
    const value: unknown = Reflect.get(row, column);
    if (value === undefined || kind.isOf(value)) continue;
    throw oddValue(path, `${table}.${column}`, kind.what, `${shown(value)} in ${shown(row)}`);
  }
  return row;
}

/**
 * Refuses keys of `kvStore` that are not text. They are at the ends of its index, so this reads no more than those.
 * @throws {VerificationError} `STORE_VALUE`
 */
export function refuseOddKeys(db: Database, path: string): void {
  for (const isOdd of ['key IS NULL', `key < ''`, `key >= x''`]) {
    const row: unknown = db.prepare(`SELECT key FROM kvStore WHERE ${isOdd} LIMIT 1`).get();
    if (row !== undefined) throw oddValue(path, 'kvStore.key', 'text', shown(row));
  }
}

/** The error for a value of `kvStore` that is not text, if `error` comes from one; else `error`. */
export function withOddValue(db: Database, path: string, error: unknown): unknown {
  if (!(error instanceof Error && error.message.includes('JSON cannot hold BLOB'))) return error;
  const find = db.prepare(
    `SELECT key, value FROM kvStore
     WHERE typeof(value) NOT IN ('text', 'null') AND key NOT GLOB 'host.*' AND key NOT GLOB 'local.*' LIMIT 1`,
  );
  return oddValue(path, 'kvStore.value', 'text', shown(find.get()));
}

function oddValue(path: string, column: string, what: string, found: string): VerificationError {
  return new VerificationError('STORE_VALUE', 'the SwingStore holds a value that no node writes', {
    path,
    expected: `${column}: ${what}`,
    found,
    hint: 'the store is damaged; restore it with: swingsnap restore SOURCE --state-dir <dir> --replace',
  });
}

const SHOWN_CHARACTERS = 60;

/** A value, or the values of a row, in one short line. */
function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'object' && value !== null) {
    const parts = Object.entries(value).map(([name, one]) => `${name} ${shown(one)}`);
    return `the row ${parts.join(', ')}`;
  }
  if (typeof value !== 'string') return String(value);
  const text = JSON.stringify(value.slice(0, SHOWN_CHARACTERS));
  return value.length > SHOWN_CHARACTERS ? `${text}…` : text;
}
