/** Writes `entries.jsonl.zst`, whose sections grow concurrently and follow one another in the file. */
import { createHash } from 'node:crypto';
import { openScratchDatabase } from '../../io/files/scratch.ts';
import type { Database } from '../../io/sqlite.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StagedFile, StagedSnapshot } from '../../storage/contract.ts';
import { EntriesWriter, type SnapshotEntry } from '../entries.ts';
import { ENTRIES_FILE } from '../layout.ts';

interface EntriesFileOptions {
  readonly codec: ZstdCodec;
  /** zstd level. */
  readonly level: number;
  readonly scratchDir: string;
}

/** Writes the frames of the first section to the file at once, and keeps the others in a scratch database. */
export class EntriesFile {
  readonly #staged: StagedSnapshot;
  readonly #options: EntriesFileOptions;
  readonly #sections: ReadonlyMap<string, EntriesWriter>;
  readonly #first: string | undefined;
  readonly #hash = createHash('sha256');
  #waiting: Database | undefined;
  #file: StagedFile | undefined;
  #size = 0;

  /** @param sections their names, in order */
  constructor(staged: StagedSnapshot, sections: readonly string[], options: EntriesFileOptions) {
    this.#staged = staged;
    this.#options = options;
    [this.#first] = sections;
    this.#sections = new Map(sections.map((name) => [name, this.#writer()]));
  }

  #writer(): EntriesWriter {
    return new EntriesWriter(this.#options.codec, this.#options.level);
  }

  /** Adds the next line of a section. */
  async add(section: string, entry: SnapshotEntry): Promise<void> {
    const frame = this.#sections.get(section)?.add(entry);
    if (frame === undefined) return;
    if (section === this.#first) await this.#write(frame);
    else this.#keep(section, frame);
  }

  #keep(section: string, frame: Uint8Array): void {
    if (this.#waiting === undefined) {
      this.#waiting = openScratchDatabase(this.#options.scratchDir);
      this.#waiting.exec('CREATE TABLE frames (section TEXT, frame BLOB)');
    }
    this.#waiting.prepare('INSERT INTO frames VALUES (?, ?)').run(section, frame);
  }

  async #write(frame: Uint8Array): Promise<void> {
    this.#file ??= await this.#staged.create(ENTRIES_FILE);
    await this.#file.write(frame);
    this.#hash.update(frame);
    this.#size += frame.length;
  }

  /** Ends all sections. @returns the file's number of lines, size in bytes and SHA-256 */
  async finish(): Promise<{ count: number; size: number; sha256: string }> {
    let count = 0;
    for (const [section, lines] of this.#sections) {
      for (const frame of this.#kept(section)) await this.#write(frame);
      const last = lines.count > 0 ? lines.finish() : undefined;
      if (last !== undefined) await this.#write(last);
      count += lines.count;
    }
    const nothing = count === 0 ? this.#writer().finish() : undefined;
    if (nothing !== undefined) await this.#write(nothing);
    await this.#file?.close();
    this.close();
    return { count, size: this.#size, sha256: this.#hash.digest('hex') };
  }

  *#kept(section: string): Generator<Uint8Array> {
    const frames = this.#waiting
      ?.prepare('SELECT frame FROM frames WHERE section = ? ORDER BY rowid')
      .pluck();
    if (frames === undefined) return;
    yield* frames.iterate(section) as IterableIterator<Uint8Array>;
  }

  /** Frees the frames that wait. */
  close(): void {
    this.#waiting?.close();
    this.#waiting = undefined;
  }
}
