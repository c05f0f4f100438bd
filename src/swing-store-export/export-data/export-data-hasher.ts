/** The two hashes of export data; see "Hashes" in docs/snapshot-format.md. */
import { createHash, type Hash } from 'node:crypto';
import { countLines, refuseLongLines } from '../../io/bytes/lines.ts';
import { endOfKVLines, entriesOfBlock, formatLine, refuseHostKey } from './export-data.ts';
import type { RecordIndex } from './record-index.ts';
import type { ExportEntry } from './records.ts';

const HOST_START = Buffer.from('["kv.host.');

/**
 * Takes canonical export data block by block, adds its records to an index, and computes
 *
 * - `exportDataHash`: the SHA-256 of all of it;
 * - `operationalHash`: the SHA-256 of the lines that honest nodes at the same height share, whatever history they
 *   keep: `kv.*`, the `.current` records, the records of heap snapshots in use, `bundle.*`.
 */
export class ExportDataHasher {
  readonly #all: Hash = createHash('sha256');
  /** Starts as a copy of `#all`, since all `kv.` lines come first and belong to both. */
  #operational: Hash | undefined;
  readonly #index: RecordIndex;
  #entries = 0;
  #size = 0;

  /** @param index receives the records */
  constructor(index: RecordIndex) {
    this.#index = index;
  }

  /**
   * @param block whole lines
   * @returns the number of entries in it
   * @throws {VerificationError} `HOST_KEY` for `kv.host.` entries, which belong to a node, not to the chain;
   *   `LINE_TOO_LONG`; `RECORD` or `UNKNOWN_TAG` as {@link RecordIndex.add}
   */
  add(block: Uint8Array): number {
    const bytes = Buffer.from(block.buffer, block.byteOffset, block.length);
    // Readers of the written copy refuse lines that are too long.
    refuseLongLines(bytes, 'the export data');
    // A value may contain this text too, so the parsed keys decide.
    if (bytes.includes(HOST_START)) {
      for (const [key] of entriesOfBlock(bytes)) refuseHostKey(key);
    }
    const kvEnd = this.#operational === undefined ? endOfKVLines(bytes) : 0;
    let entries = countLines(bytes.subarray(0, kvEnd));
    this.#all.update(bytes.subarray(0, kvEnd));
    if (kvEnd < bytes.length) {
      this.#operational ??= this.#all.copy();
      const records = bytes.subarray(kvEnd);
      this.#all.update(records);
      for (const entry of entriesOfBlock(records)) {
        this.#index.add(...entry);
        if (isOperational(entry)) this.#operational.update(`${formatLine(entry)}\n`);
        entries += 1;
      }
    }
    this.#entries += entries;
    this.#size += bytes.length;
    return entries;
  }

  /** To be called after the last block. Size in bytes, hashes as hex. */
  finish(): { entries: number; size: number; exportDataHash: string; operationalHash: string } {
    const operational = this.#operational ?? this.#all.copy();
    return {
      entries: this.#entries,
      size: this.#size,
      exportDataHash: this.#all.digest('hex'),
      operationalHash: operational.digest('hex'),
    };
  }
}

function isOperational([key, value]: ExportEntry): boolean {
  if (key.startsWith('kv.') || key.startsWith('bundle.') || key.endsWith('.current')) return true;
  return key.startsWith('snapshot.') && value.endsWith(',"inUse":1}');
}
