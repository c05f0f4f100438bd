/** Checks whether export data is in canonical order and text, as `export-data.ts` defines them. */
import { isUtf8 } from 'node:buffer';
import { mapAhead } from '../../io/flow/ahead.ts';
import { aheadOf, type WorkerPool } from '../../io/threads/pool.ts';
import { workerTask } from '../../io/threads/task.ts';
import { findCanonicalLine } from './canonical-line.ts';
import {
  bundleEntry,
  decodeBundleRecord,
  decodeHeapSnapshotRecord,
  decodeTranscriptSpanRecord,
  heapSnapshotEntries,
  transcriptSpanEntry,
  type ExportEntry,
} from './records.ts';

/** The export data is not in canonical order or text; read it again with a scratch directory. */
export class NotCanonicalError extends Error {}

const NEWLINE = 0x0a;
const KV_START = Buffer.from('["kv.');

/**
 * Passes on blocks of whole lines as long as they are canonical.
 * @throws {NotCanonicalError}
 */
export async function* checkedCanonical(
  blocks: AsyncIterable<Buffer>,
  pool: WorkerPool,
): AsyncGenerator<Uint8Array> {
  const order = new CanonicalOrder();
  const checked = mapAhead(
    blocks,
    aheadOf(pool, ({ length }: Buffer) => length),
    async (block) =>
      // True of nearly all blocks. Whether one is in order by itself does not depend on earlier blocks.
      isOfKV(block) ? pool.run(checking, block, [block]) : { block, keys: undefined },
  );
  for await (const { block, keys } of checked) {
    if (keys === undefined) checkLines(block, order);
    else {
      order.nextKV(keys.first);
      if (keys.last !== keys.first) order.nextKV(keys.last);
    }
    yield block;
  }
  order.end();
}

/** A block and the result of its check. */
interface CheckedBlock {
  readonly block: Uint8Array;
  /** Its first and last key, if the block by itself is in canonical order and text. */
  readonly keys: { readonly first: string; readonly last: string } | undefined;
}

/** Checks a block that holds only `kv.` lines, as a task for a worker. */
export function checkKVBlock(block: Uint8Array): CheckedBlock {
  const lines = Buffer.from(block.buffer, block.byteOffset, block.length);
  const order = new CanonicalOrder();
  try {
    checkLines(lines, order);
  } catch (error) {
    if (!(error instanceof NotCanonicalError)) throw error;
    return { block, keys: undefined };
  }
  const lastStart = lines.lastIndexOf(NEWLINE, lines.length - 2) + 1;
  return { block, keys: { first: keyAt(lines, 0), last: keyAt(lines, lastStart) } };
}

const checking = workerTask(import.meta.url, checkKVBlock);

/** Whether a block begins and ends with a `kv.` line: in canonical order, only `kv.` lines can be between them. */
function isOfKV(block: Buffer): boolean {
  const lastStart = block.lastIndexOf(NEWLINE, block.length - 2) + 1;
  const startsKV = (at: number): boolean =>
    block.subarray(at, at + KV_START.length).equals(KV_START);
  return startsKV(0) && startsKV(lastStart);
}

function keyAt(block: Buffer, start: number): string {
  const line = findCanonicalLine(block, start);
  if (line === undefined) throw new NotCanonicalError('not canonical text');
  return JSON.parse(block.toString('utf8', start + 1, line.keyEnd)) as string;
}

function checkLines(bytes: Uint8Array, order: CanonicalOrder): void {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (!isUtf8(block)) throw new NotCanonicalError('not UTF-8');
  const parse = (from: number, to: number): string =>
    JSON.parse(block.toString('utf8', from, to)) as string;
  for (let start = 0; start < block.length;) {
    const line = findCanonicalLine(block, start);
    if (line === undefined) throw new NotCanonicalError('not canonical text');
    const key = parse(start + 1, line.keyEnd);
    if (key.startsWith('kv.')) order.nextKV(key);
    else order.nextRecord(key, parse(line.keyEnd + 1, line.end - 2));
    start = line.end;
  }
}

/** Follows the lines of export data, and throws {@link NotCanonicalError} at the first one that is not canonical. */
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
      // A later line with the same key may correct this one.
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
      // Unknown, unless a later line deletes it: only a full read can tell.
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

const rank = (unit: number): number => {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
};

/** Compares two well-formed strings by their UTF-8 bytes: negative, zero or positive. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}
