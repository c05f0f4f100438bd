/**
 * A file that is read from its beginning. This thread opens and closes it, which takes microseconds; the thread pool
 * would take a tenth of a millisecond each time. Reads may wait for a disk, so they run in the thread pool.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  read as readCallback,
  type Stats,
} from 'node:fs';
import { promisify } from 'node:util';

const read = promisify(readCallback);

export class SourceFile {
  readonly #fd: number;
  readonly stats: Stats;

  private constructor(fd: number, stats: Stats) {
    this.#fd = fd;
    this.stats = stats;
  }

  /**
   * Opens `path`, which need not be a regular file. Does not block on a pipe.
   * @param flags more flags of open(2)
   */
  static open(path: string, flags = 0): SourceFile {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | flags);
    try {
      return new SourceFile(fd, fstatSync(fd));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Reads the file up to its size when it was opened, or less if it has shrunk, into a new buffer. */
  async readWhole(): Promise<Buffer> {
    const whole = Buffer.allocUnsafeSlow(this.stats.size);
    let length = 0;
    while (length < whole.length) {
      const { bytesRead } = await read(this.#fd, whole, length, whole.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return whole.subarray(0, length);
  }

  /** Reads the file to its end, in pieces of at most `pieceBytes` bytes, each in a new buffer. */
  async *pieces(pieceBytes: number): AsyncGenerator<Buffer> {
    const size = Math.max(1, Math.min(pieceBytes, this.stats.size));
    for (let at = 0; ;) {
      const piece = Buffer.allocUnsafeSlow(size);
      const { bytesRead } = await read(this.#fd, piece, 0, size, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
