/** Work ahead of the caller that takes its results. */

export interface AheadLimits<Item> {
  /** Items that are worked on, or wait to be taken, at most. */
  readonly items: number;
  /** Bytes of them at most; one is always let through. */
  readonly bytes: number;
  /** Bytes that an item stands for; Infinity if no later one may be asked for before it was taken. */
  readonly sizeOf: (item: Item) => number;
}

/**
 * The results of `work` on each item, in the order of the items, while the work on later ones is already under way.
 * What goes wrong with an item is thrown when its result would come.
 */
export async function* mapAhead<Item, Result>(
  source: AsyncIterable<Item>,
  { items, bytes, sizeOf }: AheadLimits<Item>,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const begun: { readonly result: Promise<Result>; readonly size: number }[] = [];
  const held = (): number => begun.reduce((sum, { size }) => sum + size, 0);
  const iterator = source[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      while (!isOver && begun.length < items && (held() < bytes || begun.length === 0)) {
        const next = await nextOf(iterator);
        if (next === undefined) {
          isOver = true;
          break;
        }
        if ('error' in next) {
          // Thrown when it is its turn, after the results that come before it.
          isOver = true;
          const result = rejected<Result>(next.error);
          result.catch(() => undefined);
          begun.push({ result, size: 0 });
          break;
        }
        const size = sizeOf(next.value);
        const result = work(next.value);
        // The caller may never come to take it.
        result.catch(() => undefined);
        begun.push({ result, size });
      }
      const [first] = begun;
      if (first === undefined) return;
      yield await first.result;
      begun.shift();
    }
  } finally {
    if (!isOver) await iterator.return?.();
    await Promise.allSettled(begun.map(async ({ result }) => result));
  }
}

async function nextOf<Item>(
  iterator: AsyncIterator<Item>,
): Promise<{ readonly value: Item } | { readonly error: unknown } | undefined> {
  try {
    const next = await iterator.next();
    return next.done === true ? undefined : { value: next.value };
  } catch (error) {
    return { error };
  }
}

async function rejected<Result>(error: unknown): Promise<Result> {
  throw error;
}
