/**
 * Where entries end: export-data segments, and chunks of several small artifacts. What ends is decided by the key or
 * name of the last line or artifact, so that a change in one place moves no cut elsewhere, and what did not change
 * keeps its bytes and therefore its name.
 */
import { linesOf } from '../../io/lines.ts';
import { SEGMENT_MAX_BYTES, SEGMENT_MEAN_REST_BYTES, SEGMENT_MIN_BYTES } from './layout.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Gathers lines into segments; one line may be longer than `SEGMENT_MAX_BYTES`, and is then alone in its segment. */
export class SegmentCutter {
  #pieces: Buffer[] = [];
  #length = 0;

  /** @returns the segments that a block of whole lines completes */
  *add(block: Buffer): Generator<Buffer> {
    let start = 0;
    let end = 0;
    for (const line of linesOf(block)) {
      const length = this.#length + (end - start);
      if (length > 0 && length + line.length > SEGMENT_MAX_BYTES) {
        yield this.#take(block.subarray(start, end));
        start = end;
      }
      end += line.length;
      if (this.#length + (end - start) >= SEGMENT_MIN_BYTES && endsSegment(line)) {
        yield this.#take(block.subarray(start, end));
        start = end;
      }
    }
    const rest = block.subarray(start, end);
    if (rest.length > 0) {
      // A copy: the block may be used again by whoever gave it.
      this.#pieces.push(Buffer.from(rest));
      this.#length += rest.length;
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

function endsSegment(line: Buffer): boolean {
  return cutsAfter(keyOf(line), line.length, SEGMENT_MEAN_REST_BYTES);
}

/** The key of a line of export data, as JSON spells it. */
function keyOf(line: Buffer): Buffer {
  const start = '["'.length;
  let end = start;
  while (end < line.length && line[end] !== QUOTE) end += line[end] === BACKSLASH ? 2 : 1;
  return line.subarray(start, end);
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
