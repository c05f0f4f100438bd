/** Size and SHA-256 of byte streams and buffers. */
import { createHash } from 'node:crypto';

/** Passes `data` through and computes its size in bytes and its SHA-256 (hex). */
export class DigestTap {
  readonly #hash = createHash('sha256');
  #size = 0;

  async *through(data: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of data) {
      this.#hash.update(piece);
      this.#size += piece.length;
      yield piece;
    }
  }

  /** Bytes passed through so far. */
  get size(): number {
    return this.#size;
  }

  /** To be called once, after the last piece. */
  finish(): { size: number; sha256: string } {
    return { size: this.#size, sha256: this.#hash.digest('hex') };
  }
}

/** SHA-256 of bytes, as hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
