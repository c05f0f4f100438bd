/**
 * Export data on its way from the tree to canonical order. The tree is in the order of bytes, which for `kv.` entries
 * is the canonical order too: so they go to a scratch file as they come, as the lines that they will be. Only the
 * records, of which there are few, are sorted, by the index that knows their rules. To let SQLite sort all entries
 * takes several times as long.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { wholeLines } from '../../io/lines.ts';
import { openScratchFile } from '../../io/scratch-file.ts';
import { blocksOfLines, formatLine, refuseHostKey } from '../../swing-store-export/export-data.ts';
import { RecordIndex } from '../../swing-store-export/record-index.ts';
import type { HashedNodes } from './hash-nodes.ts';

const READ_BYTES = 1024 * 1024;

/** Entries of the export data, as far as they are worked out already. */
export type OrderedEntries = Pick<HashedNodes, 'lines' | 'kvEntries' | 'hostKey' | 'records'>;

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
  add({ lines, kvEntries, hostKey, records }: OrderedEntries): void {
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
    for (let at = 0; at < lines.length;) at += writeSync(this.#file, lines, at);
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
  async *blocks(location: string): AsyncGenerator<Uint8Array> {
    if (this.#wrong !== undefined) throw this.#wrong as Error;
    yield* wholeLines(this.#pieces(), location);
    yield* blocksOfLines(this.#recordLines());
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; ;) {
      // A buffer for each piece, since whoever takes them may keep them.
      const piece = Buffer.allocUnsafeSlow(READ_BYTES);
      const size = readSync(this.#file, piece, 0, READ_BYTES, at);
      if (size === 0) return;
      at += size;
      yield piece.subarray(0, size);
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
