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

/**
 * Progress for one of several modules. Only one phase is shown at a time, so only the module that is installed last
 * reports its phases. Of the others, what they say of their size counts, and the chunks that are counted for them.
 */
export class ModuleProgress {
  /** For the context of the module. */
  readonly progress: Progress;
  readonly #count: (bytes: number) => void;

  /** @param total bytes of the module's state, if known; else the module says it with its first phase */
  constructor(module: StateModule, modules: readonly StateModule[], progress: Progress, total = 0) {
    const teller = modules.find(({ installs }) => installs === 'last') ?? modules[0];
    if (module === teller) {
      this.progress = progress;
      this.#count = () => undefined;
      return;
    }
    const state = { bytes: 0, total };
    const tell = (): void => progress.beside?.(module.name, state.bytes, state.total);
    tell();
    this.#count = (bytes) => {
      state.bytes += bytes;
      tell();
    };
    this.progress = {
      ...noProgress,
      phase: (_name, { bytes } = {}) => {
        state.total = bytes ?? state.total;
        tell();
      },
      note: progress.note,
    };
  }

  /** Counts the bytes of a chunk that is done. */
  count(bytes: number): void {
    this.#count(bytes);
  }
}
