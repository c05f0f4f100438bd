/**
 * Where export data is cut into segments. Cuts depend on the keys alone, so that a change in one place moves no
 * cut elsewhere, and unchanged segments keep their bytes and therefore their names.
 */
import { linesOf } from '../../io/lines.ts';
import { SEGMENT_MAX_BYTES, SEGMENT_MIN_BYTES } from './layout.ts';

/** One line in so many ends a segment that is long enough: about half a MiB of typical entries. */
const CUT_MASK = 0x1ff;
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

/** FNV-1a over the line's key decides. */
function endsSegment(line: Buffer): boolean {
  let hash = 0x811c9dc5;
  for (let i = 2; i < line.length; i += 1) {
    const byte = line[i] ?? QUOTE;
    if (byte === QUOTE && line[i - 1] !== BACKSLASH) break;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return ((hash ^ (hash >>> 15)) & CUT_MASK) === 0;
}
