/**
 * Puts export data from the tree into canonical order. The tree is in byte order. For `kv.` entries this already is
 * the canonical order, so their lines go straight to a scratch file. Only the few records are sorted, by the index
 * that knows their rules. Sorting all entries in SQLite takes several times as long.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { openScratchFile } from '../../../io/files/scratch.ts';
import {
  blocksOfLines,
  formatLine,
  refuseHostKey,
} from '../../../swing-store-export/export-data/export-data.ts';
import { RecordIndex } from '../../../swing-store-export/export-data/record-index.ts';
import { RECORD_LINE_BYTES } from '../../../swing-store-export/export-data/records.ts';
import type { HashedNodes } from './hash-nodes.ts';

const READ_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** Entries of the export data, as extracted from hashed nodes. */
export type OrderedEntries = Pick<
  HashedNodes,
  'room' | 'linesSize' | 'kvEntries' | 'hostKey' | 'records'
>;

export class OrderedExportData {
  readonly #file: number;
  readonly #index: RecordIndex;
  #entries = 0;
  #records = 0;
  #bytes = 0;
  /** The first error of an entry. It is thrown later, because an error counts only once the entries are proved. */
  #wrong: unknown;

  /** @throws {StorageError} `SCRATCH` if scratch files cannot be made in `scratchDir` */
  constructor(scratchDir: string) {
    this.#index = new RecordIndex(scratchDir);
    try {
      this.#file = openScratchFile(scratchDir);
    } catch (error) {
      this.#index.close();
      throw error;
    }
  }

  /** Adds the next entries, in byte order of their keys. */
  add({ room, linesSize, kvEntries, hostKey, records }: OrderedEntries): void {
    this.#entries += kvEntries + records.length;
    this.#records += records.length;
    this.#bytes += linesSize;
    if (hostKey !== undefined) {
      this.#keepWrong(() => {
        refuseHostKey(hostKey);
      });
    }
    for (const [key, value] of records) {
      this.#keepWrong(() => {
        this.#index.add(key, value);
      });
    }
    if (room === undefined) return;
    for (let at = 0; at < linesSize;) at += writeSync(this.#file, room, at, linesSize - at);
  }

  #keepWrong(add: () => void): void {
    try {
      add();
    } catch (error) {
      this.#wrong ??= error;
    }
  }

  /** Number of entries, and about the bytes of their lines. */
  get total(): { readonly items: number; readonly bytes: number } {
    return { items: this.#entries, bytes: this.#bytes + this.#records * RECORD_LINE_BYTES };
  }

  get isEmpty(): boolean {
    return this.#entries === 0;
  }

  /**
   * All export data, in canonical order and text. Call this only after the data is proved.
   * @throws what `RecordIndex.add` and `refuseHostKey` throw, before the first block
   */
  *blocks(): Generator<Uint8Array> {
    if (this.#wrong !== undefined) throw this.#wrong as Error;
    yield* this.#lines();
    yield* blocksOfLines(this.#recordLines());
  }

  /** Blocks of whole lines, each in its own buffer, because the caller may keep it. */
  *#lines(): Generator<Uint8Array> {
    let most = READ_BYTES;
    for (let at = 0; ;) {
      const piece = Buffer.allocUnsafeSlow(most);
      const size = readSync(this.#file, piece, 0, most, at);
      if (size === 0) return;
      const end = piece.lastIndexOf(NEWLINE, size - 1) + 1;
      // No whole line: read again, with twice the size.
      most = end === 0 ? 2 * most : READ_BYTES;
      at += end;
      if (end > 0) yield piece.subarray(0, end);
    }
  }

  *#recordLines(): Generator<string> {
    for (const entry of this.#index.entries()) yield formatLine(entry);
  }

  close(): void {
    this.#index.close();
    closeSync(this.#file);
  }
}
