/** Runs in each worker of a pool: follows a recipe and returns its outcome. */
import { transferableSymbol, valueSymbol, move } from 'piscina';
import { noteSpent } from '../flow/spent-memory.ts';
import { failureOf, type Outcome } from './error-message.ts';
import { follow, type Recipe } from './recipe.ts';
import { bytesIn, ownBuffers } from './task.ts';

/** Bytes of the input and output of the previous task. */
let before = 0;

/** The handler that piscina calls. */
export async function work(recipe: Recipe<unknown>): Promise<unknown> {
  noteSpent(before);
  before = sizeOf(recipe.input);
  let outcome: Outcome<unknown>;
  try {
    outcome = { output: await follow(recipe) };
  } catch (error) {
    outcome = { failure: failureOf(error) };
  }
  if ('output' in outcome) before += sizeOf(outcome.output);
  const buffers = 'output' in outcome ? ownBuffers(bytesIn(outcome.output)) : [];
  return move({
    get [transferableSymbol]() {
      return buffers;
    },
    get [valueSymbol]() {
      return outcome;
    },
  });
}

function sizeOf(value: unknown): number {
  let bytes = 0;
  for (const { byteLength } of bytesIn(value)) bytes += byteLength;
  return bytes;
}
