/**
 * Zstandard without a fixed implementation: one interface, three codecs that read each other's output.
 *
 * - *codec*: a library that compresses and decompresses, see {@link ZstdCodec}
 * - *frame*: a zstd file is a concatenation of frames; `frame.ts` reads their headers (RFC 8878)
 * - *raw*: not compressed
 * - *window*: how far back a frame may refer, and so what a decoder has to keep. A reader says how much it allows, at
 *   most {@link LARGE_WINDOW_LOG}. Frames that need more never reach a codec.
 *
 * `load-codec.ts` chooses the codec; `read-frames.ts` cuts a byte stream into frames.
 */

import { UsageError, type ErrorFacts } from '../../errors.ts';

export const ZSTD_CODEC_NAMES = ['node:zlib', 'zstd-napi', 'zstd-codec'] as const;

export type ZstdCodecName = (typeof ZSTD_CODEC_NAMES)[number];

/** log2 of the window that every codec can do. 23 does not fit the fixed 16 MiB heap of zstd-codec, which would abort. */
export const WINDOW_LOG = 22;

/** log2 of the largest window that is written or accepted: the most that `zstd -d` accepts without being asked. */
export const LARGE_WINDOW_LOG = 27;

/** How to compress a frame piece by piece. */
export interface PackOptions {
  /** zstd level, 1 to the codec's `maxLevel`. */
  readonly level: number;
  /** log2 of the window, up to the codec's `maxWindowLog`. Above {@link WINDOW_LOG}, far matches are looked for. */
  readonly windowLog: number;
}

/** What a reader allows. */
export interface UnpackLimits {
  /** log2 of the largest window. */
  readonly maxWindowLog: number;
  readonly maxRawBytes: number;
}

/** Compresses and decompresses. Usable for the life of the process, for one thing after another. */
export interface ZstdCodec {
  readonly name: ZstdCodecName;
  /** Highest level that {@link compress} accepts; the lowest is 1. */
  readonly maxLevel: number;
  /** log2 of the largest window that it can read and write. */
  readonly maxWindowLog: number;
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
  /**
   * Compresses pieces to one frame, with a checksum but without its content size. What it yields is valid until the
   * next piece is asked for. Only codecs with a `maxWindowLog` above {@link WINDOW_LOG} have it.
   */
  packPieces?(pieces: AsyncIterable<Uint8Array>, options: PackOptions): AsyncGenerator<Uint8Array>;
  /**
   * The content of one or more whole frames, whose pieces may be cut anywhere. Keeps about the window in memory, and
   * reads no further than the caller asks. What it yields is valid until the next piece is asked for.
   * @throws VerificationError as {@link decompress}, at the first piece that shows it
   */
  unpackPieces(frames: AsyncIterable<Uint8Array>, limits: UnpackLimits): AsyncGenerator<Uint8Array>;
}

/** @throws UsageError `ZSTD_LEVEL` if `level` is not a whole number from 1 to `codec.maxLevel` */
export function checkLevel(codec: Pick<ZstdCodec, 'name' | 'maxLevel'>, level: number): void {
  if (Number.isInteger(level) && level >= 1 && level <= codec.maxLevel) return;
  throw new UsageError('ZSTD_LEVEL', `the zstd codec ${codec.name} has no such compression level`, {
    expected: `1 to ${codec.maxLevel}`,
    found: level,
  });
}

/**
 * The error if only another codec can do something.
 * @param what it is: `read this chunk`
 */
export function needsLargeWindows(
  what: string,
  { name }: Pick<ZstdCodec, 'name'>,
  facts: ErrorFacts = {},
): UsageError {
  return new UsageError('ZSTD_CODEC_UNAVAILABLE', `the zstd library here cannot ${what}`, {
    expected: 'node:zlib or zstd-napi, which can use a large window',
    found: name,
    hint: 'use Node 22.15 or later, or run npm install zstd-napi where swingsnap is installed',
    ...facts,
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
