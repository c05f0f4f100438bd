/**
 * Export data on its way from the tree to canonical order. The tree is in the order of bytes, which for `kv.` entries
 * is the canonical order too: so they go to a scratch file as they come, as the lines that they will be. Only the
 * records, of which there are few, are sorted, by the index that knows their rules. To let SQLite sort all entries
 * takes several times as long.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { openScratchFile } from '../../../io/files/scratch.ts';
import {
  blocksOfLines,
  formatLine,
  refuseHostKey,
} from '../../../swing-store-export/export-data/export-data.ts';
import { RecordIndex } from '../../../swing-store-export/export-data/record-index.ts';
import type { HashedNodes } from './hash-nodes.ts';

const READ_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** Entries of the export data, as far as they are worked out already. */
export type OrderedEntries = Pick<
  HashedNodes,
  'room' | 'linesSize' | 'kvEntries' | 'hostKey' | 'records'
>;

export class OrderedExportData {
  readonly #file: number;
  readonly #index: RecordIndex;
  #entries = 0;
  /** What is wrong with an entry. It is kept, since nothing is said of entries before they are proved. */
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

  /** The next entries, in the order of the bytes of keys. */
  add({ room, linesSize, kvEntries, hostKey, records }: OrderedEntries): void {
    this.#entries += kvEntries + records.length;
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

  get isEmpty(): boolean {
    return this.#entries === 0;
  }

  /**
   * All of it, in canonical order and text, once it is proved.
   * @throws what `RecordIndex.add` and `refuseHostKey` throw, before anything is given
   */
  *blocks(): Generator<Uint8Array> {
    if (this.#wrong !== undefined) throw this.#wrong as Error;
    yield* this.#lines();
    yield* blocksOfLines(this.#recordLines());
  }

  /** Blocks of whole lines, each in a buffer of its own, since whoever takes them may keep them. */
  *#lines(): Generator<Uint8Array> {
    let most = READ_BYTES;
    for (let at = 0; ;) {
      const piece = Buffer.allocUnsafeSlow(most);
      const size = readSync(this.#file, piece, 0, most, at);
      if (size === 0) return;
      const end = piece.lastIndexOf(NEWLINE, size - 1) + 1;
      // A line that is longer is looked for again.
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
