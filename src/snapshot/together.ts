/** Runs the readers, or the writers, of several modules concurrently. */
import { noProgress, type Progress } from '../io/progress.ts';
import type { StateModule } from './module-contract.ts';

/**
 * Runs `work` for all items concurrently. The first error goes to `fail`, which ends the others, and is thrown when all
 * have ended.
 * @returns the results, in the order of the items
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

/** Only one phase is shown at a time, so only one of several modules reports progress: the one installed last. */
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
