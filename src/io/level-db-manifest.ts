/**
 * Reads the manifest of a LevelDB database: which tables it has, and which numbers it has given to files.
 *
 * A manifest is a log of version edits. It is read as LevelDB reads it, checksums included, since a file that LevelDB takes
 * for unused it may write to.
 *
 * Sources: leveldb `doc/log_format.md`, `db/log_reader.cc`, `db/version_edit.cc`; goleveldb `leveldb/session_record.go`.
 */

/** The files that a database has, as its manifest says. */
export interface LiveFiles {
  /** LevelDB gives this number, or a higher one, to the next file that it makes. */
  readonly nextFile: number;
  /** Logs with a lower number are not read any more. */
  readonly firstLog: number;
  /** Numbers of the tables. */
  readonly tables: readonly number[];
}

const BLOCK_BYTES = 32_768;
/** Checksum, length and type of a piece. */
const HEADER_BYTES = 7;
/** A record is one piece, or a first, any number of middle ones, and a last. */
const PIECE = { whole: 1, first: 2, middle: 3, last: 4 } as const;

const TAG = {
  comparator: 1,
  logNumber: 2,
  nextFile: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLog: 9,
} as const;

/** Why a manifest cannot be understood. */
class NotAManifest extends Error {}

/**
 * Reads a manifest, which may be hostile or end in the middle of a record.
 * @param manifest the whole file
 * @returns what the manifest says, or why it cannot be understood
 */
export function readManifest(manifest: Buffer): LiveFiles | { readonly damage: string } {
  try {
    const files = new Files();
    for (const record of recordsOf(manifest)) files.apply(new Edit(record));
    return files.live();
  } catch (error) {
    if (error instanceof NotAManifest) return { damage: error.message };
    throw error;
  }
}

/** Applies version edits. */
class Files {
  readonly #levels = new Map<number, number>();
  #nextFile: number | undefined;
  #log: number | undefined;
  #previousLog = 0;

  apply(edit: Edit): void {
    // A table that moves to another level is deleted and added in one edit.
    const added: [number: number, level: number][] = [];
    while (edit.hasMore) {
      const tag = edit.number();
      if (tag === TAG.comparator) edit.skipBytes();
      else if (tag === TAG.logNumber) this.#log = edit.number();
      else if (tag === TAG.nextFile) this.#nextFile = edit.number();
      else if (tag === TAG.lastSequence) edit.skipNumber();
      else if (tag === TAG.previousLog) this.#previousLog = edit.number();
      else if (tag === TAG.compactPointer) {
        edit.skipNumber();
        edit.skipBytes();
      } else if (tag === TAG.deletedFile) {
        const [level, number] = [edit.number(), edit.number()];
        if (this.#levels.get(number) === level) this.#levels.delete(number);
      } else if (tag === TAG.newFile) {
        const [level, number] = [edit.number(), edit.number()];
        added.push([number, level]);
        edit.skipNumber();
        edit.skipBytes();
        edit.skipBytes();
      } else throw new NotAManifest(`a version edit with a tag ${tag}`);
    }
    for (const [number, level] of added) this.#levels.set(number, level);
  }

  live(): LiveFiles {
    if (this.#nextFile === undefined || this.#log === undefined) {
      throw new NotAManifest('no number of the next file, or of the log');
    }
    const nextFile = this.#nextFile;
    const tables = [...this.#levels.keys()];
    const unused = tables.find((number) => number >= nextFile);
    if (unused !== undefined) {
      throw new NotAManifest(`a table ${unused}, and ${nextFile} for the next file`);
    }
    const firstLog = this.#previousLog === 0 ? this.#log : Math.min(this.#log, this.#previousLog);
    return { nextFile, firstLog, tables };
  }
}

/** The fields of a version edit, in order. */
class Edit {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get hasMore(): boolean {
    return this.#at < this.#bytes.length;
  }

  number(): number {
    let number = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte();
      number += (byte & 0x7f) * factor;
      if (!Number.isSafeInteger(number)) throw new NotAManifest('a number that is too large');
      if (byte < 0x80) return number;
      if (factor > Number.MAX_SAFE_INTEGER) throw new NotAManifest('a number that does not end');
    }
  }

  /** Sizes and sequence numbers need not be exact here. */
  skipNumber(): void {
    for (let length = 1; this.#byte() >= 0x80; length += 1) {
      if (length === 10) throw new NotAManifest('a number that does not end');
    }
  }

  skipBytes(): void {
    const length = this.number();
    if (length > this.#bytes.length - this.#at) throw new NotAManifest('a key that is cut off');
    this.#at += length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new NotAManifest('a version edit that is cut off');
    this.#at += 1;
    return byte;
  }
}

/** The whole records of a log. What a writer has not finished at its end is none. */
function* recordsOf(log: Buffer): Generator<Buffer> {
  let pieces: Buffer[] | undefined;
  let at = 0;
  while (at + HEADER_BYTES <= log.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const length = log.readUInt16LE(at + 4);
    if (length > left - HEADER_BYTES) throw new NotAManifest('a record longer than its block');
    const end = at + HEADER_BYTES + length;
    if (end > log.length) return;
    const type = log.readUInt8(at + 6);
    if (maskedCrc(log.subarray(at + 6, end)) !== log.readUInt32LE(at)) {
      throw new NotAManifest(`a wrong checksum at byte ${at}`);
    }
    const piece = log.subarray(at + HEADER_BYTES, end);
    at = end;
    const begins = type === PIECE.whole || type === PIECE.first;
    if (begins !== (pieces === undefined)) throw new NotAManifest('a record within another');
    if (type === PIECE.whole) yield piece;
    else if (type === PIECE.first) pieces = [piece];
    else if (type === PIECE.middle) pieces?.push(piece);
    else if (type === PIECE.last) {
      yield Buffer.concat([...(pieces ?? []), piece]);
      pieces = undefined;
    } else throw new NotAManifest(`a piece of a type ${type}`);
  }
}

/** Castagnoli's polynomial, reflected. */
const POLYNOMIAL = 0x82f6_3b78;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  return crc;
});

/** CRC-32C, masked as LevelDB stores it. */
function maskedCrc(bytes: Buffer): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0;
}
