/** Cuts a byte stream into zstd frames, so that each can be decompressed separately. */

import { VerificationError } from '../../errors.ts';
import { truncatedFrame, ZstdFrameWalk } from './frame.ts';

/** Initial size of the buffer, in bytes: frames of index files are small. */
const INITIAL_BYTES = 64 * 1024;

export interface ReadZstdFramesOptions {
  /** Longest frame to accept, in compressed bytes. A longer frame is refused before it is read. */
  readonly maxFrameBytes: number;
}

/**
 * Yields the frames of `source`, each in a new buffer. The source must consist of one or more whole frames; its
 * pieces may be cut anywhere. Keeps at most about twice the longest frame so far.
 *
 * @throws VerificationError `ZSTD_CORRUPT` or `ZSTD_WINDOW` as `inspectZstdFrames`, also if `source` is empty or ends
 *   within a frame; `ZSTD_TOO_LARGE` for a frame above `maxFrameBytes`. Earlier frames are yielded first.
 */
export async function* readZstdFrames(
  source: AsyncIterable<Uint8Array>,
  { maxFrameBytes }: ReadZstdFramesOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let buffer = new Uint8Array(INITIAL_BYTES);
  let length = 0;
  let walk = new ZstdFrameWalk();
  let frames = 0;
  for await (const piece of source) {
    let taken = 0;
    while (taken < piece.length) {
      if (walk.wanted > maxFrameBytes) throw frameTooLong(maxFrameBytes, walk.wanted);
      buffer = withRoom(buffer, length, walk.wanted);
      const part = piece.subarray(taken, taken + walk.wanted - length);
      buffer.set(part, length);
      length += part.length;
      taken += part.length;
      while (length === walk.wanted) {
        if (!walk.step(buffer)) continue;
        yield buffer.slice(0, length);
        frames += 1;
        length = 0;
        walk = new ZstdFrameWalk();
      }
    }
  }
  if (length > 0 || frames === 0) throw truncatedFrame(walk.wanted, length);
}

/** `buffer` if `wanted` bytes fit, else its first `length` bytes in a new buffer at least twice as large. */
function withRoom(
  buffer: Uint8Array<ArrayBuffer>,
  length: number,
  wanted: number,
): Uint8Array<ArrayBuffer> {
  if (wanted <= buffer.length) return buffer;
  const larger = new Uint8Array(Math.max(wanted, buffer.length * 2));
  larger.set(buffer.subarray(0, length));
  return larger;
}

function frameTooLong(maxFrameBytes: number, wanted: number): VerificationError {
  return new VerificationError('ZSTD_TOO_LARGE', 'a zstd frame is too long', {
    expected: `at most ${maxFrameBytes} bytes`,
    found: `at least ${wanted} bytes`,
  });
}
