/** How the readers, or the writers, of several modules are driven at the same time. */
import { noProgress, type Progress } from '../io/progress.ts';
import type { StateModule } from './module-contract.ts';

/**
 * Does things at the same time. When one of them fails, `fail` is told, which ends the others; its error is thrown when
 * all have ended.
 * @returns their results, in their order
 */
export async function together<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
  fail: (error: unknown) => Promise<void>,
): Promise<Result[]> {
  const failures: unknown[] = [];
  const each = items.map(async (item) => {
    try {
      return await work(item);
    } catch (error) {
      failures.push(error);
      if (failures.length === 1) await fail(error);
      throw error;
    }
  });
  await Promise.allSettled(each);
  if (failures.length > 0) throw failures[0];
  return Promise.all(each);
}

/** Phases come one at a time, so only one of several modules tells its own: the one that is installed last. */
export function progressFor(
  module: StateModule,
  modules: readonly StateModule[],
  progress: Progress,
): Progress {
  const teller = modules.find(({ installs }) => installs === 'last') ?? modules[0];
  if (module === teller) return progress;
  const { note } = progress;
  return { ...noProgress, note };
}
