/** Byte streams as lines, without a promise per line. */
import { VerificationError } from '../../errors.ts';

const NEWLINE = 0x0a;

/** The longest line taken, in bytes. A line is held whole, several times over, and repetitive ones are made of little. */
export const MAX_LINE_BYTES = 128 * 1024 * 1024;

/**
 * Cuts a byte stream into blocks of whole lines, each ending in a newline; a last line without one is given its
 * newline. Blocks are about as long as the pieces that come in, or as one line where that is longer.
 * @param what names the stream in errors
 * @throws {VerificationError} `LINE_TOO_LONG`
 */
export async function* wholeLines(
  source: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<Buffer> {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const piece of source) {
    const end = Buffer.from(piece.buffer, piece.byteOffset, piece.length).lastIndexOf(NEWLINE) + 1;
    if (end > 0 && end === piece.length && pendingBytes === 0) {
      yield Buffer.from(piece.buffer, piece.byteOffset, piece.length);
      continue;
    }
    if (end > 0) {
      const block = Buffer.concat([...pending, piece.subarray(0, end)]);
      // Before the block is handed on: a long line must not stand here a second time meanwhile.
      pending = [];
      pendingBytes = 0;
      yield block;
    }
    if (end < piece.length) {
      // A copy, since the source may use its buffer again.
      pending.push(Buffer.from(piece.subarray(end)));
      pendingBytes += piece.length - end;
    }
    if (pendingBytes > MAX_LINE_BYTES) refuseLong(what);
  }
  if (pendingBytes > 0) yield Buffer.concat([...pending.splice(0), Buffer.from('\n')]);
}

function refuseLong(what: string): never {
  throw new VerificationError('LINE_TOO_LONG', `a line of ${what} is too long`, {
    expected: `at most ${MAX_LINE_BYTES} bytes`,
  });
}

/**
 * @param what names the block in errors
 * @throws {VerificationError} `LINE_TOO_LONG` if a line of a block of whole lines is one that {@link wholeLines} refuses
 */
export function refuseLongLines(block: Buffer, what: string): void {
  if (block.length <= MAX_LINE_BYTES) return;
  for (const { length } of linesOf(block)) if (length > MAX_LINE_BYTES) refuseLong(what);
}

/** The lines of a block of whole lines, each with its newline, as views of the block. */
export function* linesOf(block: Buffer): Generator<Buffer> {
  let start = 0;
  while (start < block.length) {
    const newline = block.indexOf(NEWLINE, start);
    const end = newline === -1 ? block.length : newline + 1;
    yield block.subarray(start, end);
    start = end;
  }
}

/** How many lines a block of whole lines has. */
export function countLines(block: Uint8Array): number {
  let lines = 0;
  for (let at = block.indexOf(NEWLINE); at !== -1; at = block.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}

/** Lines, given without their newlines, as one block. */
export function blockOfLines(lines: readonly string[]): Buffer {
  const [first = ''] = lines;
  if (lines.length !== 1) return Buffer.from(`${lines.join('\n')}\n`);
  // A line alone may be long, so it is not copied as text first.
  const size = Buffer.byteLength(first);
  const block = Buffer.allocUnsafe(size + 1);
  block.write(first);
  block[size] = NEWLINE;
  return block;
}
