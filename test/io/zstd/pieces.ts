/** Packs and unpacks bytes with the streams of a codec. */
import { LARGE_WINDOW_LOG, type PackOptions, type ZstdCodec } from '../../../src/io/zstd/codec.ts';

/** Bytes in pieces of this length, whose memory is used again, as a source may. */
export async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  const memory = new Uint8Array(Math.min(length, bytes.length));
  for (let at = 0; at < bytes.length; at += length) {
    const piece = bytes.subarray(at, at + length);
    memory.set(piece);
    yield memory.subarray(0, piece.length);
    memory.fill(0xaa);
  }
}

/** All pieces. Copies them, since they are valid only until the next one. */
export async function gathered(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Uint8Array[] = [];
  for await (const piece of pieces) copies.push(Uint8Array.from(piece));
  return Buffer.concat(copies);
}

export async function packed(
  writer: ZstdCodec,
  raw: Uint8Array,
  options: PackOptions,
  pieceBytes = 1 << 30,
): Promise<Buffer> {
  const pieces = writer.packPieces?.(inPieces(raw, pieceBytes), options);
  if (pieces === undefined) throw new Error(`${writer.name} packs no pieces`);
  return gathered(pieces);
}

/** Unpacks with the largest window that the codec can do. */
export async function unpacked(
  reader: ZstdCodec,
  frames: Uint8Array,
  pieceBytes: number,
  maxRawBytes: number,
): Promise<Buffer> {
  const maxWindowLog = Math.min(LARGE_WINDOW_LOG, reader.maxWindowLog);
  return gathered(reader.unpackPieces(inPieces(frames, pieceBytes), { maxWindowLog, maxRawBytes }));
}
