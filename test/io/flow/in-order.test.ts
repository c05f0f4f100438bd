import { describe, expect, it } from 'vitest';
import { InOrder } from '../../../src/io/flow/in-order.ts';

const made = async (value: number, milliseconds: number): Promise<number> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds, value);
  });

describe('InOrder', () => {
  it('takes items in the order in which they were added, one at a time', async () => {
    const taken: number[] = [];
    let isBusy = false;
    const queue = new InOrder<number>({ items: 4, bytes: 9 }, async (value) => {
      expect(isBusy).toBe(false);
      isBusy = true;
      await made(0, 1);
      isBusy = false;
      taken.push(value);
    });
    for (let i = 0; i < 20; i += 1) await queue.add(made(i, (i * 7) % 5), 0);
    await queue.end();
    expect(taken).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it.each([
    ['items', { items: 3, bytes: 1000 }],
    ['bytes', { items: 1000, bytes: 30 }],
  ])('makes `add` wait while there are too many %s', async (_, limits) => {
    let running = 0;
    let most = 0;
    const queue = new InOrder<void>(limits, () => undefined);
    for (let i = 0; i < 12; i += 1) {
      running += 1;
      most = Math.max(most, running);
      const making = made(0, 2).then(() => {
        running -= 1;
      });
      await queue.add(making, 10);
    }
    await queue.end();
    expect(most).toBe(3);
  });

  it('throws the first failure from the next `add`, takes nothing after it, and settles', async () => {
    const taken: number[] = [];
    const queue = new InOrder<number>({ items: 3, bytes: 9 }, (value) => void taken.push(value));
    await queue.add(made(1, 1), 0);
    await queue.add(
      made(2, 1).then(() => Promise.reject(new Error('second'))),
      0,
    );
    const rest = async (): Promise<void> => {
      for (let i = 3; i < 10; i += 1) await queue.add(made(i, 1), 0);
    };
    await expect(rest()).rejects.toThrow('second');
    await expect(queue.end()).rejects.toThrow('second');
    await queue.settled();
    expect(taken).toEqual([1]);
  });
});
