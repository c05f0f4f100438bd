/**
 * The zstd codec on zstd-codec 0.1.5: zstd 1.3.6 as WebAssembly, which needs no compiler and loads everywhere.
 *
 * Its memory is fixed at 16 MiB, of which 11 MiB are heap: levels above 9 and windows above 4 MiB do not fit. A
 * failed allocation aborts the instance for good. So data passes through its low-level stream objects in small
 * pieces, and `boundOutput` refuses anything that would not fit before the library sees it.
 */

import { createRequire } from 'node:module';
import { SwingSnapError } from '../../errors.ts';
import { checkLevel, WINDOW_LOG, type ZstdCodec } from './codec.ts';
import { guardedFrames } from './guarded-frames.ts';
import { boundOutput, corruptContent, refuseMore } from './output-bound.ts';

/** Piece size for compression. The C++ code copies each piece to its heap. */
const RAW_PIECE_BYTES = 1024 * 1024;
/** Piece size for decompression. Small, so that little is decoded in vain once the output is too large. */
const FRAME_PIECE_BYTES = 16 * 1024;
const CONTENT_SIZE_BYTES = 8;
/** Magic number, descriptor, window descriptor: the stream writes no other header fields. */
const PLAIN_HEADER_BYTES = 6;

/** Receives a copy of the bytes. Must not throw: the C++ stack frames below would never be unwound. */
type Sink = (bytes: Uint8Array) => void;

/**
 * A stream object in the library's heap, to be freed with `delete`. The other methods return whether they succeeded.
 */
interface Stream {
  begin(level?: number): boolean;
  transform(piece: Uint8Array, sink: Sink): boolean;
  end(sink: Sink): boolean;
  delete(): void;
}

/** The library's module object. It has a `then` that never settles, so no promise may be resolved with it. */
interface Library {
  readonly ZstdCompressStreamBinding: new () => Stream;
  readonly ZstdDecompressStreamBinding: new () => Stream;
}

export async function openZstdCodec(): Promise<ZstdCodec> {
  const { library } = await loadLibrary();
  const codec: ZstdCodec = {
    name: 'zstd-codec',
    maxLevel: 9,
    maxWindowLog: WINDOW_LOG,
    compress(raw, level) {
      checkLevel(codec, level);
      const pieces: Uint8Array[] = [];
      const stream = new library.ZstdCompressStreamBinding();
      try {
        const done =
          stream.begin(level) &&
          run(stream, raw, RAW_PIECE_BYTES, (bytes) => void pieces.push(bytes));
        if (!done) throw new SwingSnapError('ZSTD_FAILED', 'zstd-codec cannot compress');
      } finally {
        stream.delete();
      }
      return withContentSize(pieces, raw.length);
    },
    decompress(frames, maxRawBytes, space) {
      const bound = boundOutput(frames, maxRawBytes);
      const output = space?.subarray(0, bound.capacity) ?? new Uint8Array(bound.capacity);
      let length = 0;
      const stream = new library.ZstdDecompressStreamBinding();
      try {
        const done =
          stream.begin() &&
          run(
            stream,
            frames,
            FRAME_PIECE_BYTES,
            (bytes) => {
              if (length + bytes.length <= output.length) output.set(bytes, length);
              length += bytes.length;
            },
            () => length > output.length,
          );
        if (length > output.length) throw bound.overflow();
        if (!done) throw corruptContent();
      } finally {
        stream.delete();
      }
      return output.subarray(0, length);
    },
    async *unpackPieces(frames, limits) {
      let raw = 0;
      let made: Uint8Array[] = [];
      const sink: Sink = (bytes) => {
        raw += bytes.length;
        // Beyond the limit nothing is kept: it is refused as soon as the call returns.
        if (raw <= limits.maxRawBytes) made.push(bytes);
      };
      let stream: Stream | undefined;
      try {
        for await (const { bytes, begins, ends } of guardedFrames(frames, limits)) {
          if (begins) {
            stream?.delete();
            stream = new library.ZstdDecompressStreamBinding();
            if (!stream.begin()) throw corruptContent();
          }
          for (let at = 0; at < bytes.length; at += FRAME_PIECE_BYTES) {
            const piece = bytes.subarray(at, at + FRAME_PIECE_BYTES);
            if (stream?.transform(piece, sink) !== true) throw corruptContent();
            refuseMore(raw, limits);
            yield* made;
            made = [];
          }
          if (!ends) continue;
          if (stream?.end(sink) !== true) throw corruptContent();
          refuseMore(raw, limits);
          yield* made;
          made = [];
        }
      } finally {
        stream?.delete();
      }
    },
  };
  return codec;
}

/** Sends `bytes` through a started stream, piece by piece. Returns whether all of it succeeded. */
function run(
  stream: Stream,
  bytes: Uint8Array,
  pieceBytes: number,
  sink: Sink,
  stop: () => boolean = () => false,
): boolean {
  for (let at = 0; at < bytes.length && !stop(); at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    if (!stream.transform(piece, sink)) return false;
  }
  return !stop() && stream.end(sink);
}

/**
 * Joins the pieces of a frame and adds the content size to its header (RFC 8878, 3.1.1.1). The library's stream
 * cannot know it beforehand. With it, every decoder detects content of the wrong length, and can allocate exactly.
 */
function withContentSize(pieces: readonly Uint8Array[], rawBytes: number): Uint8Array {
  const plain = Buffer.concat(pieces);
  const frame = new Uint8Array(plain.length + CONTENT_SIZE_BYTES);
  frame.set(plain.subarray(0, PLAIN_HEADER_BYTES));
  frame[4] = 0xc0;
  new DataView(frame.buffer).setBigUint64(PLAIN_HEADER_BYTES, BigInt(rawBytes), true);
  frame.set(plain.subarray(PLAIN_HEADER_BYTES), PLAIN_HEADER_BYTES + CONTENT_SIZE_BYTES);
  return frame;
}

/**
 * Loads the WebAssembly file itself, not the package's main module: only then can its `console.log` be turned off.
 */
function loadLibrary(): Promise<{ library: Library }> {
  const start = createRequire(import.meta.url)('zstd-codec/lib/zstd-codec-binding-wasm.js') as (
    settings: object,
  ) => Library;
  return new Promise((resolve, reject) => {
    const library = start({
      print: () => undefined,
      printErr: () => undefined,
      onAbort: (reason: unknown) => {
        reject(new SwingSnapError('ZSTD_FAILED', 'zstd-codec does not start', { cause: reason }));
      },
      onRuntimeInitialized: () => {
        resolve({ library });
      },
    });
  });
}
