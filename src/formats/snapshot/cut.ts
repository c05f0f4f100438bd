/**
 * Where entries end: export-data segments, and chunks of several small artifacts. What ends is decided by the key or
 * name of the last line or artifact, so that a change in one place moves no cut elsewhere, and what did not change
 * keeps its bytes and therefore its name.
 */
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
      // A copy: the block may be used again by whoever gave it.
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

/**
 * Whether something of `size` bytes called `name` is the last before a cut. Of many, one in so many is that the
 * bytes between two cuts are `meanBytes` on average, however large each is.
 */
export function cutsAfter(name: Uint8Array, size: number, meanBytes: number): boolean {
  // FNV-1a, and the last steps of MurmurHash3, which spread what FNV leaves in the low bits.
  let hash = 0x811c9dc5;
  for (const byte of name) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash = (hash ^ (hash >>> 16)) >>> 0;
  return hash < (size / meanBytes) * 2 ** 32;
}
