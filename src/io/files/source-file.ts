/**
 * A file that is read from its beginning. It is opened and closed on this thread, which takes microseconds: to have
 * another thread do that, and to hear of it, takes a tenth of a millisecond each time. Reads may wait for a disk, and
 * are given away.
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
   * Opens whatever is at `path`, which need not be a file; a pipe is not waited for.
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

  /** All of it as it was when it was opened, or less if it has become shorter; in a buffer of its own. */
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

  /** Its content to the end in pieces of at most so many bytes, each in a buffer of its own. */
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
