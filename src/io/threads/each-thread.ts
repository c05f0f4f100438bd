/** A task that each thread of a pool carries out once. */
import { follow, type Recipe } from './recipe.ts';
import { workerTask } from './task.ts';

export interface Meeting {
  readonly recipe: Recipe<void>;
  /** Counts the threads that have followed it, in 4 bytes. */
  readonly arrived: SharedArrayBuffer;
  /** Number of all threads. */
  readonly expected: number;
}

/** Follows the recipe and waits until all threads have: so none of them takes another one's turn. */
export async function followAndMeet({ recipe, arrived, expected }: Meeting): Promise<void> {
  try {
    await follow(recipe);
  } finally {
    const count = new Int32Array(arrived);
    Atomics.add(count, 0, 1);
    Atomics.notify(count, 0);
    for (let seen = Atomics.load(count, 0); seen < expected; seen = Atomics.load(count, 0)) {
      Atomics.wait(count, 0, seen);
    }
  }
}

export const meeting = workerTask(import.meta.url, followAndMeet);
