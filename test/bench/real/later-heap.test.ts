import { describe, expect, it } from 'vitest';
import { joined, laterHeap, randomOf } from './later-heap.ts';
import { tinyHeap } from './tiny.ts';

const heap = tinyHeap(randomOf(1));

/** The atoms of a heap by name. */
function atomsIn(bytes: Buffer): Map<string, Buffer> {
  const atoms = new Map<string, Buffer>();
  for (let at = 8; at < bytes.length; at += bytes.readUInt32BE(at)) {
    atoms.set(
      bytes.toString('latin1', at + 4, at + 8),
      bytes.subarray(at + 8, at + bytes.readUInt32BE(at)),
    );
  }
  return atoms;
}

/** The share of the pieces of so many bytes in `later` that `earlier` has somewhere. */
function shared(later: Buffer, earlier: Buffer, pieceBytes: number): number {
  let found = 0;
  let count = 0;
  for (let at = 0; at + pieceBytes <= later.length; at += 10 * pieceBytes, count += 1) {
    if (earlier.includes(later.subarray(at, at + pieceBytes))) found += 1;
  }
  return found / count;
}

describe('laterHeap', () => {
  it('is the same for the same seed, and another for each other seed', () => {
    const made = [1, 2, 3].map((seed) => laterHeap(heap, seed).toString('base64'));
    expect(new Set([heap.toString('base64'), ...made]).size).toBe(4);
    expect(laterHeap(heap, 2).toString('base64')).toBe(made[1]);
  });

  it('has the atoms of the heap, whose length they state', () => {
    const later = laterHeap(heap, 1);
    expect([...atomsIn(later).keys()]).toEqual([...atomsIn(heap).keys()]);
    expect(later.readUInt32BE(0)).toBe(later.length - 8);
    const again = joined([...atomsIn(later)].map(([name, content]) => ({ name, content })));
    expect(again.equals(later)).toBe(true);
  });

  it('keeps nearly all strings and code, and moves the slots, whose numbers change', () => {
    const [earlier, later] = [atomsIn(heap), atomsIn(laterHeap(heap, 1))];
    expect(shared(later.get('BLOC')!, earlier.get('BLOC')!, 32)).toBeGreaterThan(0.8);
    const [before, after] = [earlier.get('HEAP')!, later.get('HEAP')!];
    expect(after.length).toBeGreaterThan(before.length);
    expect(after.length).toBeLessThan(1.2 * before.length);
    expect(shared(after, before, 32)).toBeLessThan(0.6);
    // Of a slot, its kind and what stands beside it stay.
    expect(shared(after, before, 4)).toBeGreaterThan(0.9);
    for (let at = 0; at < after.length; at += 32) {
      expect(after.readUInt32LE(at)).toBeLessThan(after.length / 32);
    }
  });

  it('refuses what is no XS heap snapshot', () => {
    expect(() => laterHeap(Buffer.alloc(100), 1)).toThrow('no XS heap snapshot');
  });
});
