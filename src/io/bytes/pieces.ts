/** Byte streams in pieces. */

/** Joins pieces. A single piece is not copied. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
}

/** The whole content of a stream that the caller knows to be small. */
export async function gather(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return joined(pieces);
}

/** A part of a stream that was split. */
export interface StreamPart {
  readonly data: Buffer;
  readonly isLast: boolean;
}

/**
 * Splits a stream into parts of `partBytes` bytes; the last part has the rest. A stream of exactly one part is not
 * split, and an empty stream gives one empty part.
 */
export async function* splitEvery(
  stream: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<StreamPart> {
  let held: Uint8Array[] = [];
  let length = 0;
  for await (const piece of stream) {
    for (let at = 0; at < piece.length;) {
      if (length === partBytes) {
        yield { data: Buffer.concat(held), isLast: false };
        held = [];
        length = 0;
      }
      // A copy: the stream may reuse the memory of a piece.
      const slice = Buffer.from(piece.subarray(at, at + partBytes - length));
      held.push(slice);
      length += slice.length;
      at += slice.length;
    }
  }
  yield { data: Buffer.concat(held), isLast: true };
}
