/** Splits byte streams into lines, without a promise per line. */
import { VerificationError } from '../../errors.ts';

const NEWLINE = 0x0a;

/** Longest line accepted, in bytes. A line is in memory whole, several times, and a small input can expand to one. */
export const MAX_LINE_BYTES = 128 * 1024 * 1024;

/**
 * Cuts a byte stream into blocks of whole lines. Each block ends in a newline; if the last line has none, one is
 * added. Blocks are about as long as the input pieces, or as one line if that is longer.
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
      // Before the yield, so that a long line is not held here a second time meanwhile.
      pending = [];
      pendingBytes = 0;
      yield block;
    }
    if (end < piece.length) {
      // A copy, since the source may reuse its buffer.
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
 * @throws {VerificationError} `LINE_TOO_LONG` if the block has a line that {@link wholeLines} would refuse
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

/** Number of lines in a block of whole lines. */
export function countLines(block: Uint8Array): number {
  let lines = 0;
  for (let at = block.indexOf(NEWLINE); at !== -1; at = block.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}

/** Joins lines without newlines to one block. */
export function blockOfLines(lines: readonly string[]): Buffer {
  const [first = ''] = lines;
  if (lines.length !== 1) return Buffer.from(`${lines.join('\n')}\n`);
  // A single line may be long, so it is not copied as a string first.
  const size = Buffer.byteLength(first);
  const block = Buffer.allocUnsafe(size + 1);
  block.write(first);
  block[size] = NEWLINE;
  return block;
}
