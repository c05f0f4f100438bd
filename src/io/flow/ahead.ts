/** Works ahead of the caller that takes the results. */

export interface AheadLimits<Item> {
  /** Maximum number of items in work or waiting to be taken. */
  readonly items: number;
  /** Maximum of their bytes. One item is always allowed. */
  readonly bytes: number;
  /** Bytes that an item counts for; Infinity if no later item may be requested before its result is taken. */
  readonly sizeOf: (item: Item) => number;
}

/**
 * Yields the results of `work` on each item, in the order of the items, while later items are already in work. The
 * error of an item is thrown in place of its result.
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
          // Thrown in its turn, after the results of earlier items.
          isOver = true;
          const result = rejected<Result>(next.error);
          result.catch(() => undefined);
          begun.push({ result, size: 0 });
          break;
        }
        const size = sizeOf(next.value);
        const result = work(next.value);
        // The caller may never take it.
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
