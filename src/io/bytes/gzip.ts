/** Gzip into one buffer, without a second buffer of its size. */
import { open, rm, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { writeFully } from '../files/publish-file.ts';

const PIECE_BYTES = 256 * 1024;
/** Up to this size the output is kept in memory. A larger one is collected in a scratch file. */
const IN_MEMORY_BYTES = 16 * 1024 * 1024;

export interface GzipOptions {
  /** zlib level, 1 to 9. */
  readonly level: number;
  /** Maximum size of the output, in bytes. */
  readonly maxBytes: number;
  /** Path for a scratch file, which is created only for large outputs and removed afterwards. */
  readonly scratchFile: string;
  /** Makes the error for an output above `maxBytes`, given its size so far. */
  readonly tooLarge: (bytes: number) => Error;
}

/** All of `data`, gzipped. */
export async function gzipWhole(
  data: AsyncIterable<Uint8Array>,
  { level, maxBytes, scratchFile, tooLarge }: GzipOptions,
): Promise<Buffer> {
  let pieces: Buffer[] = [];
  let size = 0;
  let file: FileHandle | undefined;
  try {
    await pipeline(data, createGzip({ level, chunkSize: PIECE_BYTES }), async (gzipped) => {
      for await (const piece of gzipped as AsyncIterable<Buffer>) {
        size += piece.length;
        if (size > maxBytes) throw tooLarge(size);
        pieces.push(piece);
        if (size <= IN_MEMORY_BYTES) continue;
        file ??= await open(scratchFile, 'wx+');
        for (const kept of pieces) await writeFully(file, kept);
        pieces = [];
      }
    });
    if (file === undefined) return Buffer.concat(pieces, size);
    const whole = Buffer.allocUnsafeSlow(size);
    for (let at = 0; at < size;) {
      const { bytesRead } = await file.read(whole, at, size - at, at);
      if (bytesRead === 0) throw new Error(`${scratchFile} is shorter than what was written to it`);
      at += bytesRead;
    }
    return whole;
  } finally {
    await file?.close();
    await rm(scratchFile, { force: true });
  }
}
