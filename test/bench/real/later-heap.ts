/**
 * What the heap of a vat looks like some deliveries later. For a large store there are too few real heaps, and copies
 * would flatter a contender that finds equal bytes.
 *
 * An XS heap snapshot is a row of atoms. `HEAP` has the slots, 32 bytes each: the number of the next slot, a kind, and
 * two values, which often are numbers of slots or places in `BLOC`. `BLOC` has strings, code and arrays. Both are
 * written without holes. So a few new slots move all behind them, and every number that names one of these changes.
 *
 * Measured on 19 pairs of heaps of the same vat (10 to 22 MB; 11 vats of a chain and of a kernel), one after the other:
 *
 * - Two in three have new slots in up to 24 places: 0 to 3 % of all slots (median 0.8 %), most of them in one place, and
 *   fewer than 100 in each of the others. As a rule fewer than 0.9 % are gone. In the others XS has moved half of the
 *   heap as well.
 * - 1.4 to 4.5 % of `BLOC` are other bytes, in 240 to 1500 places: half of them of up to 40 bytes, the largest up to
 *   120 KB. They also move what is behind them.
 * - In place, 16 to 39 % of `BLOC` differ, or 90 % if it moved near its beginning. Of `HEAP`, 18 to 24 % differ, in runs
 *   of 2 to 115 bytes, 14 to 18 bytes in the median, a run in every slot: the renumbered values.
 * - Behind the earlier heap, zstd level 1 with a window of 2^27 packs the later one to 0.25 to 0.46 of what it takes
 *   alone (0.07 if no slot moved).
 *
 * What is made here takes 0.34 to 0.54 so (seven heaps of 10 to 28 MB), and alone 3 to 6 % more than the real heap that it is
 * made of.
 */
import { Buffer } from 'node:buffer';

const SLOT_BYTES = 32;
const HEADER_BYTES = 8;

/** By kind of slot, which of its values is a number of a slot or a place in `BLOC`: offsets in the slot. */
const REFERENCES: Readonly<
  Record<number, { slots: readonly number[]; places: readonly number[] }>
> = {
  0x05: { slots: [], places: [16] },
  0x0a: { slots: [16], places: [] },
  0x0b: { slots: [16], places: [] },
  0x0d: { slots: [24], places: [] },
  0x10: { slots: [], places: [16] },
  0x13: { slots: [24], places: [16] },
  0x26: { slots: [16, 24], places: [] },
  0x2a: { slots: [16], places: [] },
  0x35: { slots: [16, 24], places: [] },
};

/** Numbers from 0 to 1, the same for the same seed. */
export type Random = () => number;

export function randomOf(seed: number): Random {
  let state = (seed ^ 0x9e37_79b9) >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Atom {
  readonly name: string;
  readonly content: Buffer;
}

/** A part of the earlier content that stays as it is, or other content. */
type Piece = { readonly from: number; readonly to: number } | { readonly content: Buffer };

interface Later {
  readonly content: Buffer;
  /** Where the unit is now that was at this place: a slot by its number, or a byte. */
  readonly moved: (place: number) => number;
}

/**
 * The heap some deliveries later. Other bytes for each seed, the same for the same one.
 * @throws {Error} if this is no XS heap snapshot
 */
export function laterHeap(heap: Buffer, seed: number): Buffer {
  const random = randomOf(seed);
  const atoms = atomsOf(heap);
  const contentOf = (name: string): Buffer => {
    const atom = atoms.find((each) => each.name === name);
    if (atom === undefined) throw new Error(`no XS heap snapshot: it has no ${name}`);
    return atom.content;
  };
  const bytes = laterBytes(contentOf('BLOC'), random);
  const slots = laterSlots(contentOf('HEAP'), random);
  renumber(slots, bytes);
  const replaced: Record<string, Buffer> = { BLOC: bytes.content, HEAP: slots.content };
  return joined(atoms.map(({ name, content }) => ({ name, content: replaced[name] ?? content })));
}

function atomsOf(heap: Buffer): Atom[] {
  if (heap.toString('latin1', 4, HEADER_BYTES) !== 'XS_M') throw new Error('no XS heap snapshot');
  const atoms: Atom[] = [];
  for (let at = HEADER_BYTES; at < heap.length;) {
    const length = heap.readUInt32BE(at);
    if (length < HEADER_BYTES) throw new Error('no XS heap snapshot: an atom without length');
    atoms.push({
      name: heap.toString('latin1', at + 4, at + HEADER_BYTES),
      content: heap.subarray(at + HEADER_BYTES, at + length),
    });
    at += length;
  }
  return atoms;
}

/** A heap of atoms. The length of all of them does not count its own header, as XS writes it. */
export function joined(atoms: readonly Atom[]): Buffer {
  const header = (name: string, length: number): Buffer => {
    const made = Buffer.alloc(HEADER_BYTES);
    made.writeUInt32BE(length);
    made.write(name, 4, 'latin1');
    return made;
  };
  const parts = atoms.flatMap(({ name, content }) => [
    header(name, HEADER_BYTES + content.length),
    content,
  ]);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([header('XS_M', length), ...parts]);
}

/** New slots, like others, in a dozen places; most of them in one. A few are gone. */
function laterSlots(heap: Buffer, random: Random): Later {
  const count = Math.floor(heap.length / SLOT_BYTES);
  const most = Math.floor(count * (0.004 + 0.012 * random()));
  const cuts = places(12, count, random);
  const first = Math.floor(random() * 4);
  const pieces: Piece[] = [];
  let at = 0;
  for (const [i, cut] of cuts.entries()) {
    pieces.push({ from: at, to: cut });
    const added = Math.min(count, i === first ? most : Math.floor(random() * 60));
    const like = Math.floor(random() * (count - added));
    pieces.push({ content: heap.subarray(like * SLOT_BYTES, (like + added) * SLOT_BYTES) });
    at = Math.min(count, cut + (i % 2 === 0 ? 0 : Math.floor(random() * 30)));
  }
  pieces.push({ from: at, to: count });
  return rebuilt(heap, pieces, SLOT_BYTES);
}

/** Other bytes in several hundred places, as much as before or a little more; one large piece is new. */
function laterBytes(block: Buffer, random: Random): Later {
  const words = Math.floor(block.length / 8);
  const cuts = places(Math.min(600, words >> 8), words, random);
  const large = Math.floor(random() * cuts.length);
  const pieces: Piece[] = [];
  let at = 0;
  for (const [i, cut] of cuts.entries()) {
    if (cut < at) continue;
    pieces.push({ from: at * 8, to: cut * 8 });
    const isLarge = i === large;
    const gone = isLarge ? 0 : 2 + Math.floor(random() ** 4 * 120);
    // One in twenty has another length, so what is behind it moves.
    const added = isLarge ? Math.floor(words * 0.008) : gone + (i % 20 === 0 ? 2 : 0);
    pieces.push({ content: otherBytes(block, added * 8, random) });
    at = Math.min(words, cut + gone);
  }
  pieces.push({ from: at * 8, to: block.length });
  return rebuilt(block, pieces, 1);
}

/** Bytes as they are elsewhere in the block, with another number in every 32 of them. */
function otherBytes(block: Buffer, length: number, random: Random): Buffer {
  const from = Math.floor(random() * Math.max(0, (block.length - length) / 8)) * 8;
  const made = Buffer.from(block.subarray(from, from + length));
  for (let at = 0; at + 2 <= made.length; at += 32) {
    made.writeUInt16LE(Math.floor(random() * 65_536), at);
  }
  return made;
}

/** Places in order, of a content of so many units. */
function places(count: number, units: number, random: Random): number[] {
  return Array.from({ length: count }, () => Math.floor(random() * units)).sort((a, b) => a - b);
}

function rebuilt(content: Buffer, pieces: readonly Piece[], unitBytes: number): Later {
  const parts: Buffer[] = [];
  const starts: number[] = [];
  const shifts: number[] = [];
  let length = 0;
  for (const piece of pieces) {
    if ('content' in piece) {
      parts.push(piece.content);
      length += piece.content.length / unitBytes;
    } else if (piece.to > piece.from) {
      starts.push(piece.from);
      shifts.push(length - piece.from);
      parts.push(content.subarray(piece.from * unitBytes, piece.to * unitBytes));
      length += piece.to - piece.from;
    }
  }
  const moved = (place: number): number => {
    let [low, high] = [0, starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= place) low = middle + 1;
      else high = middle;
    }
    return place + (shifts[low - 1] ?? 0);
  };
  return { content: Buffer.concat(parts), moved };
}

/** Makes every number of a slot, and every place, the one where it is now. */
function renumber(slots: Later, bytes: Later): void {
  const { content } = slots;
  const change = (at: number, { moved, content: of }: Later, unitBytes: number): void => {
    const value = content.readUInt32LE(at);
    const isOne = content.readUInt32LE(at + 4) === 0 && value > 0 && value < of.length / unitBytes;
    if (isOne) content.writeUInt32LE(moved(value), at);
  };
  for (let at = 0; at + SLOT_BYTES <= content.length; at += SLOT_BYTES) {
    change(at, slots, SLOT_BYTES);
    const references = REFERENCES[content[at + 8]!];
    for (const offset of references?.slots ?? []) change(at + offset, slots, SLOT_BYTES);
    for (const offset of references?.places ?? []) change(at + offset, bytes, 1);
  }
}
