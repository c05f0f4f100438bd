/** Where export-data segments end: by the key of the last line, as `group.ts` has it for artifacts. */
import { cutsAfter } from '../kit/group.ts';
import { SEGMENT_MAX_BYTES, SEGMENT_MEAN_REST_BYTES, SEGMENT_MIN_BYTES } from './layout.ts';

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Gathers lines into segments; one line may be longer than `SEGMENT_MAX_BYTES`, and is then alone in its segment. */
export class SegmentCutter {
  #pieces: Buffer[] = [];
  #length = 0;

  /** @returns the segments that a block of whole lines completes */
  *add(block: Buffer): Generator<Buffer> {
    /** Where what is not in a segment yet begins, and where the lines that were looked at end. */
    let start = 0;
    let end = 0;
    while (end < block.length) {
      if (this.#length + block.length - start < SEGMENT_MIN_BYTES) break;
      // No line that ends below the minimum cuts, and none of them goes beyond the maximum.
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
      // A copy: the caller may use the block again.
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

/** By the key of a line of export data, as JSON spells it. */
function cutsAfterLine(block: Buffer, start: number, end: number): boolean {
  const keyStart = start + '["'.length;
  let keyEnd = keyStart;
  while (keyEnd < end && block[keyEnd] !== QUOTE) keyEnd += block[keyEnd] === BACKSLASH ? 2 : 1;
  return cutsAfter(block.subarray(keyStart, keyEnd), end - start, SEGMENT_MEAN_REST_BYTES);
}
