/**
 * Export data as text: JSON Lines, one `[key, value]` a line.
 *
 * Canonical order and text are the reference exporter's: `kv.` entries in key order; heap snapshots in use (the
 * record, then its `.current`), then historical ones; transcript spans; bundles; each sorted by vat id and
 * position, or bundle id; each line `JSON.stringify([key, value])` and a newline.
 */
import { isUtf8 } from 'node:buffer';
import { VerificationError } from '../errors.ts';
import { blockOfLines, wholeLines } from '../io/lines.ts';
import { openScratchDatabase } from '../io/scratch.ts';
import { findCanonicalLine } from './canonical-line.ts';
import { RecordIndex } from './record-index.ts';
import {
  bundleEntry,
  decodeBundleRecord,
  decodeHeapSnapshotRecord,
  decodeTranscriptSpanRecord,
  heapSnapshotEntries,
  transcriptSpanEntry,
  type ExportEntry,
} from './records.ts';
import { compareUtf8 } from './utf8-order.ts';

/** How many bytes of lines are gathered into a block. */
const BLOCK_BYTES = 256 * 1024;

/** The export data is not in canonical order or text; read it again with a scratch directory. */
export class NotCanonicalError extends Error {}

/** The line of one entry, without its newline. */
export function formatLine(entry: ExportEntry): string {
  return JSON.stringify(entry);
}

/** Gathers lines (without newlines) into blocks of whole lines. */
export function* blocksOfLines(lines: Iterable<string>): Generator<Buffer> {
  let block: string[] = [];
  let length = 0;
  for (const line of lines) {
    block.push(line);
    length += line.length + 1;
    if (length >= BLOCK_BYTES) {
      yield blockOfLines(block);
      block = [];
      length = 0;
    }
  }
  if (block.length > 0) yield blockOfLines(block);
}

/** The lines of a canonical block as entries; the block was checked before. */
export function* entriesOfBlock(block: Uint8Array): Generator<ExportEntry> {
  const text = Buffer.from(block.buffer, block.byteOffset, block.length).toString();
  for (const line of text.split('\n')) {
    if (line !== '') yield JSON.parse(line) as ExportEntry;
  }
}

/**
 * Reads export data from bytes that nobody has checked.
 * @param raw the bytes of the JSON Lines
 * @param what names them in errors: a path
 * @param scratchDir accepts any order, repeated keys (the last wins) and `null` values (which delete), and
 *   normalises through a scratch file there
 * @returns blocks of whole lines, canonical
 * @throws {NotCanonicalError} if they are not canonical and there is no `scratchDir`
 * @throws {VerificationError} `EXPORT_DATA` if the reference importer would refuse them
 */
export async function* readExportData(
  raw: AsyncIterable<Uint8Array>,
  what: string,
  scratchDir?: string,
): AsyncGenerator<Uint8Array> {
  const blocks = wholeLines(raw, what);
  if (scratchDir !== undefined) {
    yield* normalise(blocks, what, scratchDir);
    return;
  }
  const order = new CanonicalOrder();
  for await (const block of blocks) {
    checkCanonical(block, order);
    yield block;
  }
  order.end();
}

function checkCanonical(block: Buffer, order: CanonicalOrder): void {
  if (!isUtf8(block)) throw new NotCanonicalError('not UTF-8');
  const parse = (from: number, to: number): string =>
    JSON.parse(block.toString('utf8', from, to)) as string;
  for (let start = 0; start < block.length;) {
    const line = findCanonicalLine(block, start);
    if (line === undefined) throw new NotCanonicalError('another text');
    const key = parse(start + 1, line.keyEnd);
    if (key.startsWith('kv.')) order.nextKV(key);
    else order.nextRecord(key, parse(line.keyEnd + 1, line.end - 2));
    start = line.end;
  }
}

/** Follows the lines of canonical export data, and throws {@link NotCanonicalError} at the first that is not. */
class CanonicalOrder {
  #section = 0;
  #id = '';
  #position = -1;
  /** The `.current` entry that must come next, after the record of a heap snapshot in use. */
  #awaited: ExportEntry | undefined;

  nextKV(key: string): void {
    if (this.#awaited !== undefined) throw new NotCanonicalError(key);
    this.#advance(0, key, 0);
  }

  nextRecord(key: string, value: string): void {
    if (this.#awaited !== undefined) {
      if (key !== this.#awaited[0] || value !== this.#awaited[1]) throw new NotCanonicalError(key);
      this.#awaited = undefined;
      return;
    }
    try {
      this.#record(key, value);
    } catch (cause) {
      // What is wrong with one line may be mended by a later one with the same key.
      throw new NotCanonicalError(key, { cause });
    }
  }

  #record(key: string, value: string): void {
    const [tag] = key.split('.', 1);
    if (tag === 'snapshot') {
      const record = decodeHeapSnapshotRecord(key, value);
      if (record === undefined) throw new NotCanonicalError(key);
      const [entry, current] = heapSnapshotEntries(record);
      this.#same(key, value, entry);
      this.#awaited = current;
      this.#advance(record.inUse ? 1 : 2, record.vatID, record.inUse ? 0 : record.snapPos);
    } else if (tag === 'transcript') {
      const record = decodeTranscriptSpanRecord(key, value);
      this.#same(key, value, transcriptSpanEntry(record));
      this.#advance(3, record.vatID, record.startPos);
    } else if (tag === 'bundle') {
      const bundleID = decodeBundleRecord(key, value);
      this.#same(key, value, bundleEntry(bundleID));
      this.#advance(4, bundleID, 0);
    } else {
      // Unknown, unless a later line deletes it: only reading all of it can tell.
      throw new NotCanonicalError(key);
    }
  }

  #same(key: string, value: string, entry: ExportEntry | undefined): void {
    if (entry?.[0] !== key || entry[1] !== value) throw new NotCanonicalError(key);
  }

  #advance(section: number, id: string, position: number): void {
    const step = section - this.#section || compareUtf8(id, this.#id) || position - this.#position;
    if (step <= 0) throw new NotCanonicalError(id);
    this.#section = section;
    this.#id = id;
    this.#position = position;
  }

  end(): void {
    if (this.#awaited !== undefined) throw new NotCanonicalError(this.#awaited[0]);
  }
}

/** One line by the reference importer's rules: `undefined` for a `null` line, which it skips. */
function parseLooseLine(line: string, what: string): [string, unknown] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (cause) {
    throw notExportData(what, line, cause);
  }
  if (parsed === null) return undefined;
  // A string is taken apart like an array of its characters: "k" deletes the key k, which is no harm.
  const parts = typeof parsed === 'string' ? Array.from(parsed) : parsed;
  const [key, value] = Array.isArray(parts) ? (parts as unknown[]) : [];
  if (typeof key !== 'string') throw notExportData(what, line);
  return [key, value];
}

/**
 * Host keys belong to a node and not to the chain.
 * @throws {VerificationError} `HOST_KEY`
 */
export function refuseHostKey(key: string): void {
  if (!key.startsWith('kv.host.')) return;
  throw new VerificationError('HOST_KEY', 'export data holds a key of the host', {
    path: key,
    hint: 'this is no honest export of a SwingStore: get another',
  });
}

function notExportData(what: string, line: string, cause?: unknown): VerificationError {
  return new VerificationError('EXPORT_DATA', 'a line is no entry of export data', {
    path: what,
    expected: '["key","value"]',
    found: line.length > 100 ? `${line.slice(0, 100)}…` : line,
    cause,
  });
}

/** Text as a SwingStore gives it back: half a surrogate pair is kept as three bytes, none of which is UTF-8. */
function asStored(text: string): string {
  return text.replaceAll(/\p{Surrogate}/gu, '\ufffd\ufffd\ufffd');
}

/** Reads entries in any order into a scratch database, and gives them back in canonical order and text. */
async function* normalise(
  blocks: AsyncIterable<Buffer>,
  what: string,
  scratchDir: string,
): AsyncGenerator<Uint8Array> {
  const db = openScratchDatabase(scratchDir);
  const index = new RecordIndex(scratchDir);
  try {
    db.exec('CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID');
    db.exec('CREATE TABLE other (key TEXT PRIMARY KEY, value TEXT)');
    const statements = (table: string) => ({
      set: db.prepare(
        `INSERT INTO ${table} (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
      ),
      drop: db.prepare(`DELETE FROM ${table} WHERE key = ?`),
    });
    const kv = statements('kv');
    // Kept as JSON: only what is left at the end must be a record, and SQLite keeps no half of a surrogate pair.
    const other = statements('other');
    for await (const block of blocks) {
      for (const line of block.toString().split('\n').slice(0, -1)) {
        const entry = parseLooseLine(line, what);
        if (entry === undefined) continue;
        const [key, value] = entry;
        refuseHostKey(key);
        const isKV = key === 'kv' || key.startsWith('kv.');
        const table = isKV ? kv : other;
        const name = isKV ? asStored(key.slice('kv.'.length)) : JSON.stringify(key);
        if (value === null || value === undefined) table.drop.run(name);
        else if (!isKV) table.set.run(name, JSON.stringify(value));
        else if (typeof value === 'string') table.set.run(name, asStored(value));
        else throw notExportData(what, line);
      }
    }
    const entries = db.prepare('SELECT key, value FROM other ORDER BY rowid').raw();
    for (const [key, json] of entries.iterate() as IterableIterator<ExportEntry>) {
      const value: unknown = JSON.parse(json);
      index.add(JSON.parse(key) as string, typeof value === 'string' ? value : json);
    }
    const kvEntries = db.prepare(`SELECT 'kv.' || key, value FROM kv ORDER BY key`).raw();
    yield* blocksOfLines(
      (function* lines() {
        for (const entry of kvEntries.iterate() as IterableIterator<ExportEntry>) {
          yield formatLine(entry);
        }
        for (const entry of index.entries()) yield formatLine(entry);
      })(),
    );
  } finally {
    index.close();
    db.close();
  }
}
