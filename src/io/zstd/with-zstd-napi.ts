/** The zstd codec on the native module zstd-napi (zstd 1.5.7 in 0.0.13), an optional dependency. */

import { createRequire } from 'node:module';
import { UsageError } from '../../errors.ts';
import { checkLevel, MAX_WINDOW_LOG, tablesOf, type ZstdCodec } from './codec.ts';
import { boundOutput, corruptContent } from './output-bound.ts';

/**
 * The used part of `zstd-napi/binding`. Declared here, since the package may be absent when this is compiled. The
 * codec keeps its contexts for its lifetime: only the garbage collector frees them, and it does not see the memory of
 * a context, up to 100 MB at level 19.
 */
interface Binding {
  readonly CCtx: new () => CompressContext;
  readonly DCtx: new () => DecompressContext;
  readonly CParameter: Record<
    'compressionLevel' | 'windowLog' | 'hashLog' | 'chainLog' | 'checksumFlag',
    number
  >;
  compressBound(rawBytes: number): number;
}

interface CompressContext {
  setParameter(parameter: number, value: number): void;
  /** Writes one frame with its content size, which it knows since it gets all of `raw`. */
  compress2(output: Uint8Array, raw: Uint8Array): number;
}

interface DecompressContext {
  decompress(output: Uint8Array, frames: Uint8Array): number;
}

/** zstd's text for `ZSTD_error_dstSize_tooSmall`; the module does not report codes. */
const OUTPUT_TOO_SMALL = 'Destination buffer is too small';

/** @throws UsageError `ZSTD_CODEC_UNAVAILABLE` if the module is not installed or does not load */
export function openZstdNapi(): ZstdCodec {
  const binding = loadBinding();
  const { CParameter } = binding;
  const compressor = new binding.CCtx();
  const decompressor = new binding.DCtx();
  /** Reused for output frames, since fresh memory is slow. */
  let compressed = new Uint8Array();
  const codec: ZstdCodec = {
    name: 'zstd-napi',
    maxLevel: 19,
    compress(raw, level) {
      checkLevel(codec, level);
      compressor.setParameter(CParameter.compressionLevel, level);
      compressor.setParameter(CParameter.windowLog, MAX_WINDOW_LOG);
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
