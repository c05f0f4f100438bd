/** Size and SHA-256 of bytes that pass by. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { workerTask } from '../threads/task.ts';
import { withWorkspace } from '../threads/workspace.ts';

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

/** {@link sha256OfFile} as a task for a worker, which reads the file itself. */
export const hashingFile = workerTask(import.meta.url, sha256OfFile);
