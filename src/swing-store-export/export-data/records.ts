/**
 * Records: the entries of the export data that validate artifacts. Keys and values are those of
 * `@agoric/swing-store` (`snapStore.js`, `transcriptStore.js`, `bundleStore.js`).
 */
import { VerificationError } from '../../errors.ts';
import { isSafeID } from '../names.ts';

export interface HeapSnapshotRecord {
  readonly vatID: string;
  readonly snapPos: number;
  /** SHA-256 of the uncompressed heap snapshot, hex. */
  readonly hash: string;
  readonly inUse: boolean;
}

export interface TranscriptSpanRecord {
  readonly vatID: string;
  readonly startPos: number;
  readonly endPos: number;
  /** Cumulative hash of the span's items, hex. */
  readonly hash: string;
  readonly isCurrent: boolean;
  readonly incarnation: number;
}

/** About the bytes of a line with a record: they have ids, positions and hashes, and little else. */
export const RECORD_LINE_BYTES = 200;

/** Key and value of one entry of the export data. */
export type ExportEntry = readonly [key: string, value: string];

/** The entries of one heap snapshot: its record, and the pointer to it if it is in use. */
export function* heapSnapshotEntries(record: HeapSnapshotRecord): Generator<ExportEntry> {
  const { vatID, snapPos, hash } = record;
  const key = `snapshot.${vatID}.${snapPos}`;
  yield [key, JSON.stringify({ vatID, snapPos, hash, inUse: record.inUse ? 1 : 0 })];
  if (record.inUse) yield [`snapshot.${vatID}.current`, key];
}

/** The entry of one transcript span. */
export function transcriptSpanEntry(record: TranscriptSpanRecord): ExportEntry {
  const { vatID, startPos, endPos, hash, isCurrent, incarnation } = record;
  const value = { vatID, startPos, endPos, hash, isCurrent: isCurrent ? 1 : 0, incarnation };
  return [`transcript.${vatID}.${isCurrent ? 'current' : String(startPos)}`, JSON.stringify(value)];
}

/** The entry of one bundle. */
export function bundleEntry(bundleID: string): ExportEntry {
  return [`bundle.${bundleID}`, bundleID];
}

function refuse(key: string, why: string): never {
  throw new VerificationError('RECORD', `record ${JSON.stringify(key)} ${why}`, { path: key });
}

function parseObject(key: string, value: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return refuse(key, 'is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null) return refuse(key, 'is not an object');
  return parsed as Record<string, unknown>;
}

function text(key: string, record: Record<string, unknown>, field: string): string {
  const value = record[field];
  return typeof value === 'string' && value !== '' ? value : refuse(key, `has no ${field}`);
}

function vatID(key: string, record: Record<string, unknown>): string {
  const id = text(key, record, 'vatID');
  return isSafeID(id) ? id : refuse(key, `has the vat id ${JSON.stringify(id)}`);
}

/** Text that SQLite converts to a number in an INTEGER column. The pattern matches digits in one way only. */
const SQLITE_NUMBER = /^[ \t\n\v\f\r]*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?[ \t\n\v\f\r]*$/iu;

// The reference binds whatever it finds to an INTEGER column, so 5, "5" and " 5.0" are the same to it.
function position(key: string, record: Record<string, unknown>, field: string): number {
  const value = record[field];
  const number = typeof value === 'string' && SQLITE_NUMBER.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0
    ? number
    : refuse(key, `has no ${field} that is a position`);
}

function flag(key: string, record: Record<string, unknown>, field: string): boolean {
  return record[field] === undefined ? refuse(key, `has no ${field}`) : Boolean(record[field]);
}

/**
 * Decodes `snapshot.<vatID>.<pos>` by the reference importer's rules: the value counts, the key is not compared.
 * @returns undefined for `snapshot.<vatID>.current`, which only repeats `inUse`
 * @throws {VerificationError} `RECORD`
 */
export function decodeHeapSnapshotRecord(
  key: string,
  value: string,
): HeapSnapshotRecord | undefined {
  if (key.split('.')[2] === 'current') return undefined;
  const record = parseObject(key, value);
  return {
    vatID: vatID(key, record),
    snapPos: position(key, record, 'snapPos'),
    hash: text(key, record, 'hash'),
    inUse: flag(key, record, 'inUse'),
  };
}

/**
 * Decodes `transcript.<vatID>.<start>` or `transcript.<vatID>.current` by the reference importer's rules: key and
 * value must agree.
 * @throws {VerificationError} `RECORD`
 */
export function decodeTranscriptSpanRecord(key: string, value: string): TranscriptSpanRecord {
  const [, keyVatID = '', keyStartPos = 'none'] = key.split('.');
  const record = parseObject(key, value);
  const isCurrent = flag(key, record, 'isCurrent');
  const decoded = {
    vatID: vatID(key, record),
    startPos: position(key, record, 'startPos'),
    endPos: position(key, record, 'endPos'),
    hash: text(key, record, 'hash'),
    isCurrent,
    incarnation: position(key, record, 'incarnation'),
  };
  if (key.endsWith('.current') !== isCurrent) refuse(key, 'contradicts its isCurrent');
  if (keyVatID !== decoded.vatID) refuse(key, `belongs to vat ${JSON.stringify(decoded.vatID)}`);
  if (keyStartPos !== 'current' && Number(keyStartPos) !== record['startPos']) {
    refuse(key, `starts at ${decoded.startPos}`);
  }
  return decoded;
}

/**
 * Decodes `bundle.<bundleID>`.
 * @returns the bundle id
 * @throws {VerificationError} `RECORD`
 */
export function decodeBundleRecord(key: string, value: string): string {
  const [, bundleID = '', ...rest] = key.split('.');
  if (rest.length > 0 || bundleID !== value) refuse(key, `has the value ${JSON.stringify(value)}`);
  return bundleID;
}
