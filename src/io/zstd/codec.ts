/**
 * Zstandard without a fixed implementation: one interface, three codecs that read each other's output.
 *
 * - *codec*: a library that compresses and decompresses, see {@link ZstdCodec}
 * - *frame*: the unit that a zstd file is a concatenation of; `frame.ts` reads its headers, as RFC 8878 has them
 * - *raw*: not compressed
 * - *window*: how far back a frame may refer, so what a decoder has to keep. Ours are of at most
 *   {@link MAX_WINDOW_BYTES}, and no codec sees a frame that asks for more.
 *
 * `load-codec.ts` chooses the codec; `read-frames.ts` cuts a byte stream into frames.
 */

import { UsageError } from '../../errors.ts';

export const ZSTD_CODEC_NAMES = ['node:zlib', 'zstd-napi', 'zstd-codec'] as const;

export type ZstdCodecName = (typeof ZSTD_CODEC_NAMES)[number];

/** log2 of {@link MAX_WINDOW_BYTES}: 23 does not fit the fixed 16 MiB heap of zstd-codec, which aborts on it. */
export const MAX_WINDOW_LOG = 22;

/** Largest window that is written or accepted, in bytes. */
export const MAX_WINDOW_BYTES = 2 ** MAX_WINDOW_LOG;

/** Compresses and decompresses whole buffers, synchronously; safe to use for the life of the process. */
export interface ZstdCodec {
  readonly name: ZstdCodecName;
  /** Highest level that {@link compress} takes; the lowest is 1. */
  readonly maxLevel: number;
  /**
   * One frame that holds all of `raw`, with its content size, and a checksum where the codec can write one
   * (zstd-codec cannot).
   * @throws UsageError `ZSTD_LEVEL` if `level` is not a whole number from 1 to `maxLevel`
   */
  compress(raw: Uint8Array, level: number): Uint8Array;
  /**
   * The content of one or more whole frames, joined. Allocates at most about `maxRawBytes` + 1 MiB (`node:zlib`, for
   * several frames, as much as the largest of them more), whatever the frames say of themselves. The result shares its ArrayBuffer with nothing else, but may be shorter than it.
   * @param space where a codec that can puts the result, instead of a new buffer; at least `maxRawBytes`
   * @throws VerificationError `ZSTD_CORRUPT`, `ZSTD_WINDOW` (see `inspectZstdFrames`), or `ZSTD_TOO_LARGE` if the
   *   content has more than `maxRawBytes` bytes. The codec stays usable.
   */
  decompress(frames: Uint8Array, maxRawBytes: number, space?: Uint8Array): Uint8Array;
}

/** @throws UsageError `ZSTD_LEVEL` if `level` is not a whole number from 1 to `codec.maxLevel` */
export function checkLevel(codec: Pick<ZstdCodec, 'name' | 'maxLevel'>, level: number): void {
  if (Number.isInteger(level) && level >= 1 && level <= codec.maxLevel) return;
  throw new UsageError('ZSTD_LEVEL', `the zstd codec ${codec.name} has no such compression level`, {
    expected: `1 to ${codec.maxLevel}`,
    found: level,
  });
}

/** Sizes of the tables in which a compressor looks for matches, as log2 of their entries. */
export interface Tables {
  readonly hashLog: number;
  readonly chainLog: number;
}

/**
 * The tables of a level, where zstd's own choice for inputs of our size is not the best. At level 3 it takes 0.75 MiB,
 * which is more than the caches of two threads on one core hold. With these it is 7 to 17 % faster, and what comes out
 * is at most 1.6 % larger (program code), or smaller (exports).
 */
export function tablesOf(level: number): Tables | undefined {
  return level === 3 ? { hashLog: 16, chainLog: 14 } : undefined;
}
