/** Decompresses untrusted gzip: bounded output, exactly one member. Format: RFC 1952. */
import { crc32, createInflateRaw } from 'node:zlib';

const PIECE_BYTES = 256 * 1024;
const HEADER_BYTES = 10;
const TRAILER_BYTES = 8;
const [HAS_HEADER_CRC, HAS_EXTRA, HAS_NAME, HAS_COMMENT] = [0x02, 0x04, 0x08, 0x10];
const RESERVED_FLAGS = 0xe0;

/** The input is not exactly one gzip member, or its content is too large. */
export class GunzipError extends Error {
  override readonly name = 'GunzipError';
}

/**
 * Decompresses `bytes`, which must be one gzip member. `gunzip` of node:zlib accepts several, and ignores what
 * follows.
 * @param maxBytes limit for the output
 * @throws {GunzipError}
 */
export async function gunzipMember(bytes: Uint8Array, maxBytes: number): Promise<Buffer> {
  const gzipped = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const body = gzipped.subarray(endOfHeader(gzipped));
  const stream = createInflateRaw({ chunkSize: PIECE_BYTES });
  stream.end(body);
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > maxBytes) throw new GunzipError(`more than ${maxBytes} bytes of content`);
      pieces.push(piece);
    }
  } catch (cause) {
    if (cause instanceof GunzipError) throw cause;
    throw new GunzipError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const data = Buffer.concat(pieces, size);
  const trailer = body.subarray(stream.bytesWritten);
  if (trailer.length !== TRAILER_BYTES) {
    throw new GunzipError(
      trailer.length > TRAILER_BYTES
        ? `${trailer.length - TRAILER_BYTES} bytes follow the end of the gzip member`
        : 'unexpected end of file',
    );
  }
  if (trailer.readUInt32LE(0) !== crc32(data) || trailer.readUInt32LE(4) !== size) {
    throw new GunzipError('the checksum or length does not match the gzip trailer');
  }
  return data;
}

function endOfHeader(bytes: Buffer): number {
  const isGzip = bytes.length >= HEADER_BYTES && bytes.readUIntBE(0, 3) === 0x1f8b08;
  const flags = bytes[3] ?? RESERVED_FLAGS;
  if (!isGzip || (flags & RESERVED_FLAGS) !== 0) throw new GunzipError('no gzip header');
  let at = HEADER_BYTES;
  if ((flags & HAS_EXTRA) !== 0) at += 2 + (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
  for (const text of [HAS_NAME, HAS_COMMENT]) {
    if ((flags & text) === 0) continue;
    const end = bytes.indexOf(0, at);
    if (end === -1) throw new GunzipError('no gzip header');
    at = end + 1;
  }
  return at + ((flags & HAS_HEADER_CRC) === 0 ? 0 : 2);
}
