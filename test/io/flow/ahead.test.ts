import { describe, expect, it } from 'vitest';
import { mapAhead } from '../../../src/io/flow/ahead.ts';

const later = async (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

async function* numbers(count: number, asked: number[] = []): AsyncGenerator<number> {
  for (let i = 0; i < count; i += 1) {
    asked.push(i);
    yield i;
  }
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const one = (): number => 1;

describe('mapAhead', () => {
  it('yields results in the order of the items, however long each takes', async () => {
    const work = async (i: number): Promise<number> => {
      await later((i * 7) % 5);
      return i;
    };
    const found = await all(mapAhead(numbers(30), { items: 6, bytes: 99, sizeOf: one }, work));
    expect(found).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });

  it('begins no more than its limits allow, by number and by size', async () => {
    for (const [items, bytes] of [
      [3, 1000],
      [1000, 3],
    ] as const) {
      let running = 0;
      let most = 0;
      const work = async (): Promise<void> => {
        running += 1;
        most = Math.max(most, running);
        await later(1);
        running -= 1;
      };
      await all(mapAhead(numbers(20), { items, bytes, sizeOf: one }, work));
      expect(most).toBe(3);
    }
  });

  it('allows one item above the limit, and requests nothing after one that must be alone', async () => {
    const asked: number[] = [];
    const limits = { items: 5, bytes: 10, sizeOf: (i: number) => (i === 2 ? Infinity : 4) };
    const seen: number[] = [];
    for await (const i of mapAhead(numbers(6, asked), limits, async (i) => i)) {
      seen.push(i);
      if (i === 2) {
        await later(5);
        expect(asked).toEqual([0, 1, 2]);
      }
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('throws the first error in item order, after the earlier results, and ends its source', async () => {
    let isEnded = false;
    async function* source(): AsyncGenerator<number> {
      try {
        yield* numbers(10);
      } finally {
        isEnded = true;
      }
    }
    const work = async (i: number): Promise<number> => {
      if (i === 3) await later(5);
      if (i >= 3) throw new Error(`number ${i}`);
      return i;
    };
    const seen: number[] = [];
    const run = async (): Promise<void> => {
      for await (const i of mapAhead(source(), { items: 9, bytes: 99, sizeOf: one }, work))
        seen.push(i);
    };
    await expect(run()).rejects.toThrow('number 3');
    expect(seen).toEqual([0, 1, 2]);
    expect(isEnded).toBe(true);
  });

  it('throws an error of its source in its turn', async () => {
    async function* source(): AsyncGenerator<number> {
      yield* numbers(2);
      throw new Error('no more');
    }
    const seen: number[] = [];
    const run = async (): Promise<void> => {
      const limits = { items: 9, bytes: 99, sizeOf: one };
      for await (const i of mapAhead(source(), limits, async (i) => i)) seen.push(i);
    };
    await expect(run()).rejects.toThrow('no more');
    expect(seen).toEqual([0, 1]);
  });
});
