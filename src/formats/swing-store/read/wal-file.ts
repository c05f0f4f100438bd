/**
 * How much of a database's `-wal` is in use. The file does not tell by its size: SQLite begins the log again from the
 * start and leaves old frames behind the new ones (https://www.sqlite.org/fileformat2.html#walformat).
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { fileId, type FileId } from '../../../io/files/held-files.ts';
import { isMissing } from '../../../io/files/system-error.ts';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The last bit of the magic number is the byte order of checksums. */
const MAGIC = 0x37_7f_06_82;
const SALTS_BYTES = 8;
const SALTS_IN_HEADER = 16;
const SALTS_IN_FRAME = 8;

/** The frames of one log. */
export interface WalExtent {
  /** Every log has salts of its own, in hexadecimal digits; empty if there is no log. */
  readonly salts: string;
  readonly frames: number;
  /** Bytes of each frame: a page and its header. */
  readonly frameBytes: number;
}

const NO_LOG: WalExtent = { salts: '', frames: 0, frameBytes: 0 };

/** Bytes of all frames. */
export function bytesOf({ frames, frameBytes }: WalExtent): number {
  return frames * frameBytes;
}

/** Bytes of the frames that came after `before`: all of them, if a new log was begun since. */
export function growthSince(before: WalExtent, now: WalExtent): number {
  return bytesOf(now) - (now.salts === before.salts ? bytesOf(before) : 0);
}

/**
 * An open `-wal`. SQLite takes no lock on this file, so closing it drops none. But another user may have put the
 * database in its place under a second name: while a view is pinned, keep it open until the connections are closed.
 */
export class WalFile {
  readonly descriptor: number;
  readonly id: FileId;

  private constructor(descriptor: number) {
    this.descriptor = descriptor;
    this.id = fileId(fstatSync(descriptor, { bigint: true }));
  }

  /** Opens the `-wal` of a database; undefined if there is none. */
  static open(database: string): WalFile | undefined {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    try {
      return new WalFile(openSync(`${database}-wal`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /**
   * Counts the frames that have the salts of the header, with some twenty reads of a few bytes. They may belong to a
   * transaction that is not committed yet.
   */
  extent(): WalExtent {
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(this.descriptor, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return NO_LOG;
    const pageBytes = header.readUInt32BE(8);
    const isLog = (header.readUInt32BE(0) & ~1) === MAGIC && pageBytes >= 512;
    if (!isLog) return NO_LOG;
    const salts = header.toString('hex', SALTS_IN_HEADER, SALTS_IN_HEADER + SALTS_BYTES);
    const frameBytes = FRAME_HEADER_BYTES + pageBytes;
    // SQLite writes a log in order, so its frames are in front of what is left of older logs.
    let frames = 0;
    let bound = Math.floor((fstatSync(this.descriptor).size - HEADER_BYTES) / frameBytes);
    while (frames < bound) {
      const middle = Math.ceil((frames + bound) / 2);
      const lastFrame = HEADER_BYTES + (middle - 1) * frameBytes;
      if (this.#salts(lastFrame + SALTS_IN_FRAME) === salts) frames = middle;
      else bound = middle - 1;
    }
    return { salts, frames, frameBytes };
  }

  #salts(position: number): string {
    const salts = Buffer.alloc(SALTS_BYTES);
    readSync(this.descriptor, salts, 0, SALTS_BYTES, position);
    return salts.toString('hex');
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
