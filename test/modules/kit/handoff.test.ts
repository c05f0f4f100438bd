import { describe, expect, it } from 'vitest';
import { Handoff } from '../../../src/modules/kit/handoff.ts';

const settled = async (promise: Promise<unknown>): Promise<string> =>
  Promise.race([
    promise.then(
      () => 'taken',
      (error: unknown) => String(error),
    ),
    new Promise<string>((resolve) => setTimeout(resolve, 20, 'waiting')),
  ]);

describe('a handoff', () => {
  it('gives items in order, and counts one as taken when the next is requested', async () => {
    const handoff = new Handoff<number>();
    const [one, two] = [handoff.put(1), handoff.put(2)];
    expect(await handoff.take()).toBe(1);
    expect(await settled(one)).toBe('waiting');
    expect(await handoff.take()).toBe(2);
    expect(await settled(one)).toBe('taken');
    expect(await settled(two)).toBe('waiting');
    handoff.end();
    expect(await handoff.take()).toBeUndefined();
    expect(await settled(two)).toBe('taken');
    expect(await handoff.take()).toBeUndefined();
  });

  it('waits for items, and ends', async () => {
    const handoff = new Handoff<string>();
    const found: string[] = [];
    const reading = (async () => {
      for await (const item of handoff.items()) found.push(item);
    })();
    await handoff.put('a');
    const last = handoff.put('b');
    handoff.end();
    await Promise.all([reading, last]);
    expect(found).toEqual(['a', 'b']);
  });

  it('throws a failure on both sides, to a side that waits and from then on', async () => {
    const error = new Error('broken');
    const handoff = new Handoff<number>();
    const puts = [handoff.put(1), handoff.put(2)];
    await handoff.take();
    handoff.fail(error);
    for (const put of puts) await expect(put).rejects.toBe(error);
    await expect(handoff.take()).rejects.toBe(error);
    await expect(handoff.put(3)).rejects.toBe(error);

    const waiting = new Handoff<number>();
    const taking = waiting.take();
    waiting.fail(error);
    await expect(taking).rejects.toBe(error);
    waiting.end();
    await expect(waiting.take()).rejects.toBe(error);
  });
});
