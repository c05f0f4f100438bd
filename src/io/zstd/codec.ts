/**
 * Zstandard without a fixed implementation: one interface, three codecs that read each other's output.
 *
 * - *codec*: a library that compresses and decompresses, see {@link ZstdCodec}
 * - *frame*: a zstd file is a concatenation of frames; `frame.ts` reads their headers (RFC 8878)
 * - *raw*: not compressed
 * - *window*: how far back a frame may refer, and so what a decoder has to keep. Ours are at most
 *   {@link MAX_WINDOW_BYTES}. Frames that need more never reach a codec.
 *
 * `load-codec.ts` chooses the codec; `read-frames.ts` cuts a byte stream into frames.
 */

import { UsageError } from '../../errors.ts';

export const ZSTD_CODEC_NAMES = ['node:zlib', 'zstd-napi', 'zstd-codec'] as const;

export type ZstdCodecName = (typeof ZSTD_CODEC_NAMES)[number];

/** log2 of {@link MAX_WINDOW_BYTES}. 23 does not fit the fixed 16 MiB heap of zstd-codec, which would abort. */
export const MAX_WINDOW_LOG = 22;

/** Largest window written or accepted, in bytes. */
export const MAX_WINDOW_BYTES = 2 ** MAX_WINDOW_LOG;

/** Compresses and decompresses whole buffers synchronously. Usable for the life of the process. */
export interface ZstdCodec {
  readonly name: ZstdCodecName;
  /** Highest level that {@link compress} accepts; the lowest is 1. */
  readonly maxLevel: number;
  /**
   * Compresses `raw` to one frame with its content size, and with a checksum if the codec can write one (zstd-codec
   * cannot).
   * @throws UsageError `ZSTD_LEVEL` if `level` is not a whole number from 1 to `maxLevel`
   */
  compress(raw: Uint8Array, level: number): Uint8Array;
  /**
   * The joined content of one or more whole frames. Allocates at most about `maxRawBytes` + 1 MiB (for several
   * frames, `node:zlib` also allocates the size of the largest), whatever the frames declare. The result is the only
   * user of its ArrayBuffer, but may be shorter.
   * @param space buffer of at least `maxRawBytes` for the result, instead of a new one, if the codec supports that
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

/** Sizes of a compressor's match tables, as log2 of their entries. */
export interface Tables {
  readonly hashLog: number;
  readonly chainLog: number;
}

/**
 * The tables of a level, where zstd's default for inputs of our size is not the best. At level 3 the default takes
 * 0.75 MiB, which exceeds the caches of two threads on one core. With these tables it is 7 to 17 % faster, and the
 * output is at most 1.6 % larger (program code), or smaller (exports).
 */
export function tablesOf(level: number): Tables | undefined {
  return level === 3 ? { hashLog: 16, chainLog: 14 } : undefined;
}
