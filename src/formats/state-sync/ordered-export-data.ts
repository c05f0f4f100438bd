/**
 * Export data on its way from the tree to canonical order. The tree is in the order of bytes, which for `kv.` entries
 * is the canonical order too: so they go to a scratch file as they come, as the lines that they will be. Only the
 * records, of which there are few, are sorted, by the index that knows their rules. To let SQLite sort all entries
 * takes several times as long.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { VerificationError } from '../../errors.ts';
import { blockOfLines, wholeLines } from '../../io/lines.ts';
import { openScratchFile } from '../../io/scratch-file.ts';
import { blocksOfLines, formatLine, refuseHostKey } from '../../swing-store-export/export-data.ts';
import { RecordIndex } from '../../swing-store-export/record-index.ts';

/** Characters of lines that are gathered before they are written. */
const BLOCK_LENGTH = 256 * 1024;
const READ_BYTES = 1024 * 1024;

export class OrderedExportData {
  readonly #file: number;
  readonly #index: RecordIndex;
  #lines: string[] = [];
  #length = 0;
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

  /** The next entry, in the order of the bytes of keys. */
  add(key: string, value: string): void {
    this.#entries += 1;
    if (!key.startsWith('kv.')) {
      this.#keepWrong(() => {
        this.#index.add(key, value);
      });
      return;
    }
    this.#keepWrong(() => {
      refuseHostKey(key);
    });
    const line = lineOf(key, value);
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#length >= BLOCK_LENGTH) this.#write();
  }

  #keepWrong(add: () => void): void {
    try {
      add();
    } catch (error) {
      this.#wrong ??= error;
    }
  }

  #write(): void {
    if (this.#lines.length === 0) return;
    const block = blockOfLines(this.#lines);
    for (let at = 0; at < block.length;) at += writeSync(this.#file, block, at);
    this.#lines = [];
    this.#length = 0;
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
    this.#write();
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

/** @throws {VerificationError} `LINE_TOO_LONG` */
function lineOf(key: string, value: string): string {
  try {
    return formatLine([key, value]);
  } catch (cause) {
    // Escapes can make six times as many characters of a value, and a string has an end.
    throw new VerificationError('LINE_TOO_LONG', 'a line of the export data is too long', {
      path: key.slice(0, 100),
      cause,
    });
  }
}
