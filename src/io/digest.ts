/** Size and SHA-256 of bytes that pass by. */
import { createHash } from 'node:crypto';
import { workerTask } from './worker-pool/task.ts';

/** Passes `data` on and tells its size in bytes and SHA-256 (hex) once it has ended. */
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

  /** Bytes that have passed so far. */
  get size(): number {
    return this.#size;
  }

  /** Ends it; to be called once. */
  finish(): { size: number; sha256: string } {
    return { size: this.#size, sha256: this.#hash.digest('hex') };
  }
}

/** SHA-256 of bytes, as hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** {@link sha256Hex} as a task for a worker. */
export const hashing = workerTask(import.meta.url, sha256Hex);
