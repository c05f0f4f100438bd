/** The zstd codec on the native module zstd-napi (zstd 1.5.7 in 0.0.13), an optional dependency. */

import { createRequire } from 'node:module';
import { UsageError } from '../../errors.ts';
import { checkLevel, LARGE_WINDOW_LOG, tablesOf, WINDOW_LOG, type ZstdCodec } from './codec.ts';
import { guardedFrames } from './guarded-frames.ts';
import { boundOutput, corruptContent, refuseMore } from './output-bound.ts';

/**
 * The used part of `zstd-napi/binding`. Declared here, since the package may be absent when this is compiled. The
 * codec keeps its contexts for its lifetime: only the garbage collector frees them, and it does not see the memory of
 * a context, up to 100 MB at level 19.
 */
interface Binding {
  readonly CCtx: new () => CompressContext;
  readonly DCtx: new () => DecompressContext;
  readonly CParameter: Record<
    | 'compressionLevel'
    | 'windowLog'
    | 'hashLog'
    | 'chainLog'
    | 'checksumFlag'
    | 'enableLongDistanceMatching',
    number
  >;
  readonly DParameter: Record<'windowLogMax', number>;
  readonly EndDirective: Record<'continue' | 'end', number>;
  compressBound(rawBytes: number): number;
}

interface CompressContext {
  setParameter(parameter: number, value: number): void;
  /** Writes one frame with its content size, which it knows since it gets all of `raw`. */
  compress2(output: Uint8Array, raw: Uint8Array): number;
  compressStream2(output: Uint8Array, raw: Uint8Array, end: number): StreamResult;
}

interface DecompressContext {
  setParameter(parameter: number, value: number): void;
  decompress(output: Uint8Array, frames: Uint8Array): number;
  decompressStream(output: Uint8Array, frames: Uint8Array): StreamResult;
}

/** What zstd returned (0 at the end of a frame), and how many bytes it wrote and read. */
type StreamResult = [returned: number, written: number, read: number];

/** Output of a stream is passed on in pieces of at most this many bytes. */
const PIECE_BYTES = 256 * 1024;

const NOTHING = new Uint8Array();

/** zstd's text for `ZSTD_error_dstSize_tooSmall`; the module does not report codes. */
const OUTPUT_TOO_SMALL = 'Destination buffer is too small';

/** @throws UsageError `ZSTD_CODEC_UNAVAILABLE` if the module is not installed or does not load */
export function openZstdNapi(): ZstdCodec {
  const binding = loadBinding();
  const { CParameter, EndDirective } = binding;
  const compressor = new binding.CCtx();
  const decompressor = new binding.DCtx();
  // Contexts of streams, once the last frame has ended. One that failed in the middle of a frame cannot be used again.
  let packer: CompressContext | undefined;
  let unpacker: DecompressContext | undefined;
  /** Reused for output frames, since fresh memory is slow. */
  let compressed = new Uint8Array();
  const codec: ZstdCodec = {
    name: 'zstd-napi',
    maxLevel: 19,
    maxWindowLog: LARGE_WINDOW_LOG,
    compress(raw, level) {
      checkLevel(codec, level);
      compressor.setParameter(CParameter.compressionLevel, level);
      compressor.setParameter(CParameter.windowLog, WINDOW_LOG);
      compressor.setParameter(CParameter.checksumFlag, 1);
      const tables = tablesOf(level);
      compressor.setParameter(CParameter.hashLog, tables?.hashLog ?? 0);
      compressor.setParameter(CParameter.chainLog, tables?.chainLog ?? 0);
      const bound = binding.compressBound(raw.length);
      if (compressed.length < bound) compressed = new Uint8Array(bound);
      return compressed.slice(0, compressor.compress2(compressed, raw));
    },
    decompress(frames, maxRawBytes, space) {
      const bound = boundOutput(frames, maxRawBytes);
      const output = space?.subarray(0, bound.capacity) ?? new Uint8Array(bound.capacity);
      try {
        return output.subarray(0, decompressor.decompress(output, frames));
      } catch (error) {
        const overflows = error instanceof Error && error.message === OUTPUT_TOO_SMALL;
        throw overflows ? bound.overflow(error) : corruptContent(error);
      }
    },
    async *packPieces(pieces, { level, windowLog }) {
      checkLevel(codec, level);
      const stream = packer ?? new binding.CCtx();
      packer = undefined;
      stream.setParameter(CParameter.compressionLevel, level);
      stream.setParameter(CParameter.windowLog, windowLog);
      stream.setParameter(CParameter.enableLongDistanceMatching, windowLog > WINDOW_LOG ? 1 : 2);
      stream.setParameter(CParameter.checksumFlag, 1);
      const output = new Uint8Array(PIECE_BYTES);
      for await (const piece of pieces) {
        for (let at = 0; at < piece.length;) {
          const [, written, read] = stream.compressStream2(
            output,
            piece.subarray(at),
            EndDirective.continue,
          );
          if (written > 0) yield output.subarray(0, written);
          at += read;
        }
      }
      for (let left = 1; left > 0;) {
        const [returned, written] = stream.compressStream2(output, NOTHING, EndDirective.end);
        left = returned;
        if (written > 0) yield output.subarray(0, written);
      }
      packer = stream;
    },
    async *unpackPieces(frames, limits) {
      const output = new Uint8Array(PIECE_BYTES);
      const stream = unpacker ?? new binding.DCtx();
      unpacker = undefined;
      let raw = 0;
      for await (const { bytes, begins, ends } of guardedFrames(frames, limits)) {
        if (begins) stream.setParameter(binding.DParameter.windowLogMax, limits.maxWindowLog);
        let left = 1;
        for (let at = 0, isFull = true; at < bytes.length || isFull;) {
          let result: StreamResult;
          try {
            result = stream.decompressStream(output, bytes.subarray(at));
          } catch (error) {
            throw corruptContent(error);
          }
          const [returned, written, read] = result;
          left = returned;
          at += read;
          // At the end of a frame, another call would begin the next one.
          isFull = written === output.length && left > 0;
          raw += written;
          refuseMore(raw, limits);
          if (written > 0) yield output.subarray(0, written);
          if (read === 0 && written === 0) break;
        }
        if (ends && left !== 0) throw corruptContent();
      }
      unpacker = stream;
    },
  };
  return codec;
}

function loadBinding(): Binding {
  try {
    return createRequire(import.meta.url)('zstd-napi/binding') as Binding;
  } catch (cause) {
    throw new UsageError('ZSTD_CODEC_UNAVAILABLE', 'the zstd codec zstd-napi does not load', {
      hint: 'run npm install zstd-napi where swingsnap is installed; it needs a C++ compiler',
      cause,
    });
  }
}
