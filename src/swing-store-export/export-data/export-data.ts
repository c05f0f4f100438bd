/**
 * Export data as text: JSON Lines, one `[key, value]` per line.
 *
 * Canonical order and text are those of the reference exporter: `kv.` entries in key order; heap snapshots in use
 * (the record, then its `.current`), then historical ones; transcript spans; bundles. Each group is sorted by vat id
 * and position, or by bundle id. Each line is `JSON.stringify([key, value])` and a newline.
 */
import { VerificationError } from '../../errors.ts';
import { blockOfLines, wholeLines } from '../../io/bytes/lines.ts';
import { openScratchDatabase } from '../../io/files/scratch.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { checkedCanonical } from './canonical-blocks.ts';
import { RecordIndex } from './record-index.ts';
import type { ExportEntry } from './records.ts';

/** Bytes of lines that are gathered into a block. */
const BLOCK_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

/** The line for one entry, without its newline. */
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

/** The lines of a canonical block as entries. The block must have been checked. */
export function* entriesOfBlock(block: Uint8Array): Generator<ExportEntry> {
  const text = Buffer.from(block.buffer, block.byteOffset, block.length).toString();
  for (const line of text.split('\n')) {
    if (line !== '') yield JSON.parse(line) as ExportEntry;
  }
}

const KV_START = Buffer.from('["kv.');

/** End position of the `kv.` lines at the start of a canonical block. */
export function endOfKVLines(block: Buffer): number {
  const lastLine = block.lastIndexOf(NEWLINE, block.length - 2) + 1;
  if (block.subarray(lastLine, lastLine + KV_START.length).equals(KV_START)) return block.length;
  let start = 0;
  while (start < block.length && block.subarray(start, start + KV_START.length).equals(KV_START)) {
    start = block.indexOf(NEWLINE, start) + 1;
  }
  return start;
}

export interface ReadExportDataOptions {
  /**
   * If given, any order, repeated keys (the last wins) and `null` values (which delete) are accepted, and the export
   * data is normalised through a scratch file in this directory.
   */
  readonly scratchDir?: string | undefined;
  /** Checks the text; by default this thread does. */
  readonly pool?: WorkerPool | undefined;
}

/**
 * Reads export data from unchecked bytes.
 * @param raw the bytes of the JSON Lines
 * @param what path for error messages
 * @returns canonical blocks of whole lines
 * @throws {NotCanonicalError} if they are not canonical and there is no `scratchDir`
 * @throws {VerificationError} `EXPORT_DATA` if the reference importer would refuse them
 */
export async function* readExportData(
  raw: AsyncIterable<Uint8Array>,
  what: string,
  { scratchDir, pool = inlinePool }: ReadExportDataOptions = {},
): AsyncGenerator<Uint8Array> {
  const blocks = wholeLines(raw, what);
  if (scratchDir !== undefined) {
    yield* normalise(blocks, what, scratchDir);
    return;
  }
  yield* checkedCanonical(blocks, pool);
}

/** Parses one line by the reference importer's rules. Returns undefined for a `null` line, which it skips. */
function parseLooseLine(line: string, what: string): [string, unknown] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (cause) {
    throw notExportData(what, line, cause);
  }
  if (parsed === null) return undefined;
  // The importer destructures a string like an array of its characters: "k" deletes the key k, which is harmless.
  const parts = typeof parsed === 'string' ? Array.from(parsed) : parsed;
  const [key, value] = Array.isArray(parts) ? (parts as unknown[]) : [];
  if (typeof key !== 'string') throw notExportData(what, line);
  return [key, value];
}

/**
 * Refuses host keys, which belong to a node, not to the chain.
 * @throws {VerificationError} `HOST_KEY`
 */
export function refuseHostKey(key: string): void {
  if (!key.startsWith('kv.host.')) return;
  throw new VerificationError('HOST_KEY', 'export data contains a host key', {
    path: key,
    hint: 'no SwingStore exports such data: get the export from another node',
  });
}

function jsonOf(value: unknown, what: string, line: string): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    // Nested too deep for the stack; JSON.parse has no such limit.
    throw notExportData(what, line, cause);
  }
}

function notExportData(what: string, line: string, cause?: unknown): VerificationError {
  return new VerificationError('EXPORT_DATA', 'a line is not an export data entry', {
    path: what,
    expected: '["key","value"]',
    found: line.length > 100 ? `${line.slice(0, 100)}…` : line,
    cause,
  });
}

/** Reads entries in any order into a scratch database, and yields them in canonical order and text. */
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
    // Made well-formed: UTF-8 cannot encode a lone surrogate, and what SQLite would get depends on the Node version.
    const kv = statements('kv');
    // Kept as JSON: only the final entries must be records, and JSON preserves lone surrogates.
    const other = statements('other');
    for await (const block of blocks) {
      for (const line of block.toString().split('\n').slice(0, -1)) {
        const entry = parseLooseLine(line, what);
        if (entry === undefined) continue;
        const [key, value] = entry;
        refuseHostKey(key);
        const isKV = key === 'kv' || key.startsWith('kv.');
        const table = isKV ? kv : other;
        const name = isKV ? key.slice('kv.'.length).toWellFormed() : JSON.stringify(key);
        if (value === null || value === undefined) table.drop.run(name);
        else if (!isKV) table.set.run(name, jsonOf(value, what, line));
        else if (typeof value === 'string') table.set.run(name, value.toWellFormed());
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
