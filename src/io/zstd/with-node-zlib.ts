/** The zstd codec built into Node from 22.15 on. */

import { pipeline, Readable, type Transform } from 'node:stream';
import zlib from 'node:zlib';
import { SwingSnapError, UsageError } from '../../errors.ts';
import { checkLevel, LARGE_WINDOW_LOG, tablesOf, WINDOW_LOG, type ZstdCodec } from './codec.ts';
import { cutZstdFrames } from './frame.ts';
import { guardedFrames, type GuardedPiece } from './guarded-frames.ts';
import { boundOutput, corruptContent, refuseMore, type OutputBound } from './output-bound.ts';

/** The used part of zstd in `node:zlib`. Declared here, since the types of the oldest supported Node lack it. */
interface NodeZstd {
  zstdCompressSync(raw: Uint8Array, options: NodeZstdOptions): Uint8Array;
  zstdDecompressSync(frames: Uint8Array, options: NodeZstdOptions): Uint8Array;
  createZstdCompress(options: NodeZstdOptions): Transform;
  createZstdDecompress(options: NodeZstdOptions): Transform;
  readonly constants: Record<
    | 'ZSTD_c_compressionLevel'
    | 'ZSTD_c_windowLog'
    | 'ZSTD_c_hashLog'
    | 'ZSTD_c_chainLog'
    | 'ZSTD_c_checksumFlag'
    | 'ZSTD_c_enableLongDistanceMatching'
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
/** Output of a stream comes in pieces of this many bytes. */
const STREAM_CHUNK_SIZE = 256 * 1024;
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
    maxWindowLog: LARGE_WINDOW_LOG,
    compress(raw, level) {
      checkLevel(codec, level);
      const tables = tablesOf(level);
      const frame = node.zstdCompressSync(raw, {
        params: {
          [constants.ZSTD_c_compressionLevel]: level,
          [constants.ZSTD_c_windowLog]: WINDOW_LOG,
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
    async *packPieces(pieces, { level, windowLog }) {
      checkLevel(codec, level);
      const params = {
        [constants.ZSTD_c_compressionLevel]: level,
        [constants.ZSTD_c_windowLog]: windowLog,
        [constants.ZSTD_c_enableLongDistanceMatching]: windowLog > WINDOW_LOG ? 1 : 2,
        [constants.ZSTD_c_checksumFlag]: 1,
      };
      yield* through(pieces, node.createZstdCompress({ params, chunkSize: STREAM_CHUNK_SIZE }));
    },
    async *unpackPieces(frames, limits) {
      const params = { [constants.ZSTD_d_windowLogMax]: limits.maxWindowLog };
      const pieces = guardedFrames(frames, limits);
      let raw = 0;
      // Node decodes one frame with a stream, and silently ignores the rest.
      for (let first = await pieces.next(); first.done !== true; first = await pieces.next()) {
        const stream = node.createZstdDecompress({ params, chunkSize: STREAM_CHUNK_SIZE });
        try {
          for await (const piece of through(oneFrame(first.value, pieces), stream)) {
            raw += piece.length;
            refuseMore(raw, limits);
            yield piece;
          }
        } catch (error) {
          throw isOfZstd(error) ? corruptContent(error) : error;
        }
      }
    },
  };
  return codec;
}

/** Sends pieces through a stream. Throws the error of either. */
async function* through(
  pieces: AsyncIterable<Uint8Array>,
  stream: Transform,
): AsyncGenerator<Uint8Array> {
  // The pieces may use the same memory again, and the stream works in another thread.
  const copies = Readable.from(copiesOf(pieces), { highWaterMark: 1 });
  pipeline(copies, stream, () => undefined);
  yield* stream as AsyncIterable<Buffer>;
}

async function* copiesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) yield Uint8Array.from(piece);
}

async function* oneFrame(
  first: GuardedPiece,
  pieces: AsyncGenerator<GuardedPiece>,
): AsyncGenerator<Uint8Array> {
  yield first.bytes;
  for (let { ends } = first; !ends;) {
    const next = await pieces.next();
    if (next.done === true) return;
    yield next.value.bytes;
    ({ ends } = next.value);
  }
}

/** Whether it is an error of the library: Node's own errors begin otherwise, and ours are of a class of ours. */
function isOfZstd(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof SwingSnapError) return false;
  return 'code' in error && String(error.code).startsWith('ZSTD_error');
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
      params: { [node.constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
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
