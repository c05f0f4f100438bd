/**
 * Checks the headers of Zstandard frames, without decoding their content.
 *
 * Format: RFC 8878, sections 3.1.1.1 (frame header) and 3.1.1.2 (blocks). Codecs are lenient in different ways, and
 * one of them aborts on a large window. Every codec can read the frames that pass this check.
 */

import { VerificationError } from '../../errors.ts';
import { WINDOW_LOG } from './codec.ts';

const MAGIC = 0xfd2fb528;
/** Block_Maximum_Size is this or the window, whichever is less. */
const MAX_BLOCK_BYTES = 128 * 1024;
const PREFIX_BYTES = 5;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const RLE_BLOCK = 1;
const COMPRESSED_BLOCK = 2;
const RESERVED_BLOCK = 3;

/** Summary of the headers of one or more frames. Sizes in bytes. */
export interface ZstdFramesInfo {
  readonly frames: number;
  /** Raw bytes in all frames; absent if a frame does not declare its size. */
  readonly contentSize?: number;
  /** Lower bound of the content: raw and run-length blocks declare their size. */
  readonly minRawBytes: number;
  /** Upper bound of the content: a compressed block has at most one block size of content. */
  readonly maxRawBytes: number;
}

/**
 * Checks the headers of all the frames in `bytes`.
 *
 * Single-segment frames have no window field: their content size is their window, so the same limit applies. The
 * "unused bit" is ignored, as the RFC requires.
 *
 * @throws VerificationError `ZSTD_WINDOW` if a frame needs a window of more than 2 ** {@link WINDOW_LOG} bytes;
 *   `ZSTD_CORRUPT` if `bytes` is not one or more whole frames: truncation, trailing garbage, skippable frames, a
 *   dictionary, reserved bits or block types, blocks above the block limit, a content size that the blocks cannot have
 */
export function inspectZstdFrames(bytes: Uint8Array): ZstdFramesInfo {
  let frames = 0;
  let contentSize: number | undefined = 0;
  let minRawBytes = 0;
  let maxRawBytes = 0;
  for (const { walk } of cutZstdFrames(bytes)) {
    frames += 1;
    if (walk.contentSize === undefined || contentSize === undefined) contentSize = undefined;
    else contentSize += walk.contentSize;
    minRawBytes += walk.minRawBytes;
    maxRawBytes += walk.maxRawBytes;
  }
  return {
    frames,
    ...(contentSize === undefined ? {} : { contentSize }),
    minRawBytes,
    maxRawBytes,
  };
}

/**
 * Yields the frames of `bytes` as views, each with its finished walk.
 * @throws VerificationError as {@link inspectZstdFrames}
 */
export function* cutZstdFrames(
  bytes: Uint8Array,
): Generator<{ frame: Uint8Array; walk: ZstdFrameWalk }> {
  let start = 0;
  do {
    const rest = bytes.subarray(start);
    const walk = new ZstdFrameWalk();
    do {
      if (rest.length < walk.wanted) throw truncatedFrame(walk.wanted, rest.length);
    } while (!walk.step(rest));
    yield { frame: rest.subarray(0, walk.wanted), walk };
    start += walk.wanted;
  } while (start < bytes.length);
}

/** The error for a truncated frame; both sizes in bytes from the start of the frame. */
export function truncatedFrame(wanted: number, found: number): VerificationError {
  return corrupt('a zstd frame ends early', `at least ${wanted} bytes`, `${found} bytes`);
}

/**
 * Walks over the headers of one frame while its bytes are still arriving.
 *
 * Call {@link step} whenever {@link wanted} bytes of the frame are available, until it returns true. Then `wanted` is
 * the length of the frame.
 */
export class ZstdFrameWalk {
  /** Bytes from the start of the frame that the next step needs. */
  wanted = PREFIX_BYTES;
  /** Declared raw bytes of the frame; undefined if it declares no size. */
  contentSize: number | undefined;
  minRawBytes = 0;
  maxRawBytes = 0;
  #next: 'prefix' | 'header' | 'block' | 'end' = 'prefix';
  #blockLimit = 0;
  #checksumBytes = 0;
  readonly #maxWindowLog: number;

  /** @param maxWindowLog log2 of the largest window to accept */
  constructor(maxWindowLog = WINDOW_LOG) {
    this.#maxWindowLog = maxWindowLog;
  }

  /** Offset of the first byte that the next step looks at. It looks at none behind `wanted`. */
  get from(): number {
    return this.#next === 'block'
      ? this.wanted - BLOCK_HEADER_BYTES
      : this.#next === 'end'
        ? this.wanted
        : 0;
  }

  /**
   * @param frame the bytes of the frame from offset `at` on: those from {@link from} to {@link wanted} are enough
   * @returns whether the frame ends at `wanted`
   * @throws VerificationError as {@link inspectZstdFrames}, except for truncation
   */
  step(frame: Uint8Array, at = 0): boolean {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    switch (this.#next) {
      case 'prefix':
        this.#readPrefix(view);
        return false;
      case 'header':
        this.#readHeader(view);
        return false;
      case 'block':
        this.#readBlockHeader(view, this.wanted - BLOCK_HEADER_BYTES - at);
        return false;
      case 'end':
        if (this.contentSize !== undefined) {
          const { contentSize, minRawBytes, maxRawBytes } = this;
          if (contentSize < minRawBytes || contentSize > maxRawBytes) {
            throw corrupt(
              'a zstd frame declares a content size that its blocks cannot have',
              `${minRawBytes} to ${maxRawBytes} bytes`,
              `${contentSize} bytes`,
            );
          }
        }
        return true;
    }
  }

  #readPrefix(view: DataView): void {
    const magic = view.getUint32(0, true);
    if (magic !== MAGIC) {
      throw corrupt('not a zstd frame', hexMagic(MAGIC), hexMagic(magic));
    }
    const layout = headerLayout(view.getUint8(4));
    if (layout.reserved) throw corrupt('a zstd frame header has its reserved bit set');
    this.#checksumBytes = layout.checksumBytes;
    this.wanted = layout.end + BLOCK_HEADER_BYTES;
    this.#next = 'header';
  }

  #readHeader(view: DataView): void {
    const layout = headerLayout(view.getUint8(4));
    for (let at = layout.dictionaryAt; at < layout.contentSizeAt; at += 1) {
      if (view.getUint8(at) !== 0) throw corrupt('a zstd frame needs a dictionary');
    }
    const contentSize = readContentSize(view, layout.contentSizeAt, layout.end);
    const windowSize = layout.singleSegment ? (contentSize ?? 0n) : windowBytes(view.getUint8(5));
    const maxWindowBytes = 2 ** this.#maxWindowLog;
    if (windowSize > BigInt(maxWindowBytes)) {
      throw new VerificationError('ZSTD_WINDOW', 'a zstd frame needs too large a window', {
        expected: `at most ${maxWindowBytes} bytes`,
        found: `${windowSize} bytes`,
        hint: `compress it again with a window log of ${this.#maxWindowLog}: zstd --zstd=wlog=${this.#maxWindowLog}`,
      });
    }
    this.contentSize = contentSize === undefined ? undefined : Number(contentSize);
    this.#blockLimit = Math.min(Number(windowSize), MAX_BLOCK_BYTES);
    this.#next = 'block';
  }

  /** The block header is the last three bytes of `wanted`, at offset `at` of the view. */
  #readBlockHeader(view: DataView, at: number): void {
    const header = view.getUint8(at) | (view.getUint16(at + 1, true) << 8);
    const last = (header & 1) === 1;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === RESERVED_BLOCK) throw corrupt('a zstd block is of the reserved type');
    if (size > this.#blockLimit) {
      throw corrupt(
        'a zstd block is too large',
        `at most ${this.#blockLimit} bytes`,
        `${size} bytes`,
      );
    }
    this.minRawBytes += type === COMPRESSED_BLOCK ? 0 : size;
    this.maxRawBytes += type === COMPRESSED_BLOCK ? this.#blockLimit : size;
    this.wanted += type === RLE_BLOCK ? 1 : size;
    this.wanted += last ? this.#checksumBytes : BLOCK_HEADER_BYTES;
    this.#next = last ? 'end' : 'block';
  }
}

/** The field positions in a frame header, from its Frame_Header_Descriptor. Offsets from the start of the frame. */
function headerLayout(descriptor: number) {
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryAt = PREFIX_BYTES + (singleSegment ? 0 : 1);
  const dictionaryFlag = descriptor & 3;
  const contentSizeAt = dictionaryAt + (dictionaryFlag === 3 ? 4 : dictionaryFlag);
  const contentSizeFlag = descriptor >> 6;
  const contentSizeBytes = contentSizeFlag === 0 ? Number(singleSegment) : 2 ** contentSizeFlag;
  return {
    singleSegment,
    reserved: (descriptor & 0x08) !== 0,
    checksumBytes: (descriptor & 0x04) !== 0 ? CHECKSUM_BYTES : 0,
    dictionaryAt,
    contentSizeAt,
    end: contentSizeAt + contentSizeBytes,
  };
}

function readContentSize(view: DataView, at: number, end: number): bigint | undefined {
  switch (end - at) {
    case 0:
      return undefined;
    case 1:
      return BigInt(view.getUint8(at));
    case 2:
      return BigInt(view.getUint16(at, true) + 256);
    case 4:
      return BigInt(view.getUint32(at, true));
    default:
      return view.getBigUint64(at, true);
  }
}

/** Window_Size from the exponent and mantissa of the Window_Descriptor: up to 3.75 TiB. */
function windowBytes(descriptor: number): bigint {
  const base = 1n << BigInt(10 + (descriptor >> 3));
  return base + (base / 8n) * BigInt(descriptor & 7);
}

function hexMagic(magic: number): string {
  return `0x${magic.toString(16).padStart(8, '0')}`;
}

function corrupt(message: string, expected?: string, found?: string): VerificationError {
  return new VerificationError('ZSTD_CORRUPT', message, { expected, found });
}
