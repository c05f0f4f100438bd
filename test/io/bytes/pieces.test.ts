/** Streams in pieces of any size, joined, and split into parts. */
import { describe, expect, it } from 'vitest';
import { gather, joined, splitEvery } from '../../../src/io/bytes/pieces.ts';

async function* piecesOf(...sizes: number[]): AsyncGenerator<Uint8Array> {
  let next = 0;
  // One buffer for all, as in a stream that reuses its memory.
  const memory = new Uint8Array(Math.max(0, ...sizes));
  for (const size of sizes) {
    for (let at = 0; at < size; at += 1) memory[at] = next++;
    yield memory.subarray(0, size);
  }
}

async function partsOf(partBytes: number, ...sizes: number[]): Promise<[number[], boolean][]> {
  const parts: [number[], boolean][] = [];
  for await (const { data, isLast } of splitEvery(piecesOf(...sizes), partBytes)) {
    parts.push([[...data], isLast]);
  }
  return parts;
}

describe('a stream that is split', () => {
  it('yields parts of one size, and the rest in the last part', async () => {
    expect(await partsOf(3, 2, 5)).toEqual([
      [[0, 1, 2], false],
      [[3, 4, 5], false],
      [[6], true],
    ]);
  });

  it('is not split if it is exactly one part', async () => {
    expect(await partsOf(4, 1, 3)).toEqual([[[0, 1, 2, 3], true]]);
  });

  it('is one empty part if it is empty', async () => {
    expect(await partsOf(4)).toEqual([[[], true]]);
  });
});

it('pieces are joined in their order, and a single one is not copied', async () => {
  const only = Uint8Array.of(1, 2);
  expect(joined([only])).toBe(only);
  expect([...joined([only, Uint8Array.of(3)])]).toEqual([1, 2, 3]);
  expect([...joined([])]).toEqual([]);
  expect(await gather(piecesOf(2))).toHaveLength(2);
});
