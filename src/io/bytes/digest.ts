/** Size and SHA-256 of byte streams, buffers and files. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { workerTask } from '../threads/task.ts';
import { withWorkspace } from '../threads/workspace.ts';

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

/** {@link sha256Hex} as a task for a worker. */
export const hashing = workerTask(import.meta.url, sha256Hex);

const READ_BYTES = 1024 * 1024;

/** SHA-256 of the file at `path`, as hex. */
export async function sha256OfFile(path: string): Promise<string> {
  return withWorkspace(READ_BYTES, async (space) => {
    const hash = createHash('sha256');
    const file = openSync(path, 'r');
    try {
      for (;;) {
        const length = readSync(file, space, 0, READ_BYTES, null);
        if (length === 0) return hash.digest('hex');
        hash.update(space.subarray(0, length));
      }
    } finally {
      closeSync(file);
    }
  });
}

/** {@link sha256OfFile} as a task for a worker; the worker reads the file. */
export const hashingFile = workerTask(import.meta.url, sha256OfFile);
