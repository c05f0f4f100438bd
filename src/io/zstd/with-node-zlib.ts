/** The zstd codec built into Node from 22.15 on. */

import zlib from 'node:zlib';
import { UsageError } from '../../errors.ts';
import { checkLevel, MAX_WINDOW_LOG, tablesOf, type ZstdCodec } from './codec.ts';
import { cutZstdFrames } from './frame.ts';
import { boundOutput, corruptContent, type OutputBound } from './output-bound.ts';

/** The used part of zstd in `node:zlib`. Declared here, since the types of the oldest supported Node lack it. */
interface NodeZstd {
  zstdCompressSync(raw: Uint8Array, options: NodeZstdOptions): Uint8Array;
  zstdDecompressSync(frames: Uint8Array, options: NodeZstdOptions): Uint8Array;
  readonly constants: Record<
    | 'ZSTD_c_compressionLevel'
    | 'ZSTD_c_windowLog'
    | 'ZSTD_c_hashLog'
    | 'ZSTD_c_chainLog'
    | 'ZSTD_c_checksumFlag'
    | 'ZSTD_d_windowLogMax',
    number
  >;
}

interface NodeZstdOptions {
  readonly params: Record<number, number>;
  readonly chunkSize: number;
  readonly maxOutputLength?: number;
  readonly pledgedSrcSize?: number;
}

/** The smallest `chunkSize` that Node accepts. */
const MIN_CHUNK_SIZE = 64;
/** Compressed output is collected in pieces of this many bytes. */
const COMPRESS_CHUNK_SIZE = 1024 * 1024;
/** Node allocates smaller buffers from a shared pool, but never those of this size or more. */
const POOLED_BELOW = 64 * 1024;

/** @throws UsageError `ZSTD_CODEC_UNAVAILABLE` if this Node has no zstd */
export function openNodeZlib(): ZstdCodec {
  const node: object = zlib;
  if (!hasZstd(node)) {
    throw new UsageError('ZSTD_CODEC_UNAVAILABLE', 'this Node has no built-in zstd', {
      expected: 'Node 22.15 or later',
      found: process.version,
    });
  }
  const { constants } = node;
  const codec: ZstdCodec = {
    name: 'node:zlib',
    maxLevel: 19,
    compress(raw, level) {
      checkLevel(codec, level);
      const tables = tablesOf(level);
      const frame = node.zstdCompressSync(raw, {
        params: {
          [constants.ZSTD_c_compressionLevel]: level,
          [constants.ZSTD_c_windowLog]: MAX_WINDOW_LOG,
          [constants.ZSTD_c_checksumFlag]: 1,
          ...(tables && {
            [constants.ZSTD_c_hashLog]: tables.hashLog,
            [constants.ZSTD_c_chainLog]: tables.chainLog,
          }),
        },
        chunkSize: COMPRESS_CHUNK_SIZE,
        pledgedSrcSize: raw.length,
      });
      return new Uint8Array(frame);
    },
    decompress(frames, maxRawBytes) {
      const bound = boundOutput(frames, maxRawBytes);
      const output = new Uint8Array(bound.capacity);
      let length = 0;
      // Node decodes the first frame and silently ignores the rest, so each frame has its own call.
      for (const { frame, walk } of cutZstdFrames(frames)) {
        const capacity = Math.min(walk.contentSize ?? walk.maxRawBytes, bound.capacity - length);
        const part = decompressFrame(node, frame, capacity, bound);
        if (frame.length === frames.length) return part;
        output.set(part, length);
        length += part.length;
      }
      return output.subarray(0, length);
    },
  };
  return codec;
}

function decompressFrame(
  node: NodeZstd,
  frame: Uint8Array,
  capacity: number,
  bound: OutputBound,
): Uint8Array {
  let output: Uint8Array;
  try {
    output = node.zstdDecompressSync(frame, {
      params: { [node.constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
      // One byte more than the maximum, so that one piece takes all and nothing is joined.
      chunkSize: Math.max(MIN_CHUNK_SIZE, capacity + 1),
      maxOutputLength: Math.max(1, capacity),
    });
  } catch (error) {
    const overflows =
      error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
    throw overflows ? bound.overflow(error) : corruptContent(error);
  }
  if (output.length > capacity) throw bound.overflow();
  return ownBytes(output);
}

function hasZstd(module: object): module is NodeZstd {
  return 'zstdCompressSync' in module && 'zstdDecompressSync' in module;
}

/** A plain array with its own ArrayBuffer, which a caller may transfer. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.length < POOLED_BELOW) return new Uint8Array(bytes);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
