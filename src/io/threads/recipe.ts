/**
 * Recipes. A recipe says as plain data where something is and how to get it, so that the thread that needs it can get it
 * itself: its bytes then need not cross threads.
 */
import { bytesIn, workerTask, type WorkerTask } from './task.ts';

/** A task with its input. */
export interface Recipe<Output> {
  /** URL of the module that exports the task. */
  readonly module: string;
  /** The task's export name. */
  readonly name: string;
  readonly input: unknown;
  /** Never there: only the type of the result. */
  readonly output?: Output;
}

export function recipeFor<Input, Output>(
  { module, name }: WorkerTask<Input, Output>,
  input: Input,
): Recipe<Output> {
  return { module, name, input };
}

/** Carries out a recipe in this thread. Throws what its task throws. */
export async function follow<Output>({ module, name, input }: Recipe<Output>): Promise<Output> {
  const exported = (await import(module)) as Record<string, (input: unknown) => unknown>;
  const run = exported[name];
  if (run === undefined) throw new Error(`${module} exports no ${name}`);
  return (await run(input)) as Output;
}

/** Recipes are in the inputs of recipes. */
const DEPTH = 12;

/** The bytes that recipes hold, so that they can be given away. */
export function bytesHeldBy(
  recipes: Recipe<unknown> | readonly Recipe<unknown>[],
): Generator<Uint8Array> {
  return bytesIn(recipes, DEPTH);
}

/** {@link follow} as a task. */
export const following = workerTask<Recipe<unknown>, unknown>(import.meta.url, follow);

/** Loads modules before their tasks are due. A module that cannot be loaded fails its task. */
export async function loadModules(modules: readonly string[]): Promise<void> {
  await Promise.allSettled(modules.map(async (module) => (await import(module)) as unknown));
}

export const loading = workerTask(import.meta.url, loadModules);

/** A recipe for what is there already. */
export function given<Output>(output: Output): Recipe<Output> {
  return recipeFor(giving, output) as Recipe<Output>;
}

/** The result of a {@link given} recipe; undefined for any other. */
export function outputThere<Output>({ module, name, input }: Recipe<Output>): Output | undefined {
  return module === giving.module && name === giving.name ? (input as Output) : undefined;
}

export function giveBack(output: unknown): unknown {
  return output;
}

const giving = workerTask(import.meta.url, giveBack);
