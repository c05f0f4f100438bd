/**
 * Writes the stream of a state-sync snapshot: deflates it into a scratch file. An archive holds the hashes of all
 * chunks before the chunks, so it can be written only after the stream has ended.
 *
 * Source: cosmos-sdk `snapshots/{stream,chunk,store}.go`.
 */
import { createHash } from 'node:crypto';
import { closeSync, readSync, writeSync } from 'node:fs';
import { createDeflate } from 'node:zlib';
import { openScratchFile } from '../../../io/files/scratch.ts';

/** Size of every chunk but the last. */
const CHUNK_BYTES = 10_000_000;
/** The zlib level that the Cosmos SDK uses. */
const LEVEL = 7;
const PIECE_BYTES = 1024 * 1024;

/** The chunks of a finished stream. */
export interface Chunks {
  /** SHA-256 of each chunk. */
  readonly hashes: readonly Buffer[];
  /** SHA-256 of all chunks, concatenated. */
  readonly hash: Buffer;
  /** Total size in bytes. */
  readonly size: number;
}

export class ChunkStream {
  readonly #deflate = createDeflate({ level: LEVEL, chunkSize: PIECE_BYTES });
  readonly #file: number;
  readonly #keeping: Promise<Chunks>;
  #size = 0;
  /** Bytes written, before compression. */
  rawSize = 0;

  /** @throws {StorageError} `SCRATCH` if the scratch file cannot be made in `scratchDir` */
  constructor(scratchDir: string) {
    this.#file = openScratchFile(scratchDir);
    this.#keeping = this.#keep();
    // #keep reports errors of the deflate stream.
    this.#deflate.on('error', () => undefined);
    // The next write fails with this error.
    this.#keeping.catch((error: unknown) => this.#deflate.destroy(error as Error));
  }

  async #keep(): Promise<Chunks> {
    const hashes: Buffer[] = [];
    const whole = createHash('sha256');
    let chunk = createHash('sha256');
    let left = CHUNK_BYTES;
    for await (const piece of this.#deflate as AsyncIterable<Buffer>) {
      for (let at = 0; at < piece.length;) at += writeSync(this.#file, piece, at);
      this.#size += piece.length;
      whole.update(piece);
      let rest = piece;
      while (rest.length >= left) {
        hashes.push(chunk.update(rest.subarray(0, left)).digest());
        rest = rest.subarray(left);
        chunk = createHash('sha256');
        left = CHUNK_BYTES;
      }
      chunk.update(rest);
      left -= rest.length;
    }
    if (left < CHUNK_BYTES) hashes.push(chunk.digest());
    return { hashes, hash: whole.digest(), size: this.#size };
  }

  /** Adds bytes and waits while the stream is full. The caller must not change the bytes afterwards. */
  async write(bytes: Uint8Array): Promise<void> {
    this.rawSize += bytes.length;
    if (this.#deflate.destroyed) await this.#keeping;
    if (this.#deflate.write(bytes)) return;
    const drained = new Promise<void>((resolve) => this.#deflate.once('drain', resolve));
    await Promise.race([drained, this.#keeping]);
  }

  /** Ends the stream. */
  async end(): Promise<Chunks> {
    this.#deflate.end();
    return this.#keeping;
  }

  /** The bytes of one chunk, once the stream has ended. */
  *chunk(number: number): Generator<Buffer> {
    const end = Math.min(this.#size, (number + 1) * CHUNK_BYTES);
    for (let at = number * CHUNK_BYTES; at < end;) {
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, end - at));
      const size = readSync(this.#file, piece, 0, piece.length, at);
      if (size === 0) throw new Error('a scratch file is shorter than what was written to it');
      at += size;
      yield piece.subarray(0, size);
    }
  }

  /** Size of one chunk in bytes. */
  sizeOfChunk(number: number): number {
    return Math.min(this.#size, (number + 1) * CHUNK_BYTES) - number * CHUNK_BYTES;
  }

  async close(): Promise<void> {
    this.#deflate.destroy();
    await this.#keeping.catch(() => undefined);
    closeSync(this.#file);
  }
}
