/** Cuts export data into segments: the key of a line decides whether a segment ends, as in `group.ts` for artifacts. */
import { cutsAfter } from '../kit/group.ts';
import { SEGMENT_MAX_BYTES, SEGMENT_MEAN_REST_BYTES, SEGMENT_MIN_BYTES } from './layout.ts';

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Gathers lines into segments. A line longer than `SEGMENT_MAX_BYTES` is alone in its segment. */
export class SegmentCutter {
  #pieces: Buffer[] = [];
  #length = 0;

  /** @returns the segments that a block of whole lines completes */
  *add(block: Buffer): Generator<Buffer> {
    /** The start of the bytes that are in no segment yet, and the end of the lines already checked. */
    let start = 0;
    let end = 0;
    while (end < block.length) {
      if (this.#length + block.length - start < SEGMENT_MIN_BYTES) break;
      // A line that ends below the minimum neither cuts nor exceeds the maximum.
      const skipped = start + SEGMENT_MIN_BYTES - this.#length;
      if (end + 1 < skipped) end = Math.max(end, block.lastIndexOf(NEWLINE, skipped - 2) + 1);
      const next = block.indexOf(NEWLINE, end) + 1;
      const length = this.#length + end - start;
      if (length > 0 && length + next - end > SEGMENT_MAX_BYTES) {
        yield this.#take(block.subarray(start, end));
        start = end;
        continue;
      }
      const isLong = length + next - end >= SEGMENT_MIN_BYTES;
      if (isLong && cutsAfterLine(block, end, next)) {
        yield this.#take(block.subarray(start, next));
        start = next;
      }
      end = next;
    }
    if (start < block.length) {
      // A copy: the caller may reuse the block.
      this.#pieces.push(Buffer.from(block.subarray(start)));
      this.#length += block.length - start;
    }
  }

  /** @returns what is left */
  *finish(): Generator<Buffer> {
    if (this.#length > 0) yield this.#take(Buffer.alloc(0));
  }

  #take(last: Buffer): Buffer {
    const whole = Buffer.concat([...this.#pieces, last]);
    this.#pieces = [];
    this.#length = 0;
    return whole;
  }
}

/** Whether a segment ends after a line of export data, by the line's key as spelled in JSON. */
function cutsAfterLine(block: Buffer, start: number, end: number): boolean {
  const keyStart = start + '["'.length;
  let keyEnd = keyStart;
  while (keyEnd < end && block[keyEnd] !== QUOTE) keyEnd += block[keyEnd] === BACKSLASH ? 2 : 1;
  return cutsAfter(block.subarray(keyStart, keyEnd), end - start, SEGMENT_MEAN_REST_BYTES);
}
