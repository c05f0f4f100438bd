/** Runs in each worker of a pool: finds the task and returns its outcome. */
import { transferableSymbol, valueSymbol, move } from 'piscina';
import { noteSpent } from '../flow/spent-memory.ts';
import { failureOf, type Outcome } from './error-message.ts';
import { bytesIn, ownBuffers } from './task.ts';

/** A task as a message. */
export interface Order {
  readonly module: string;
  readonly name: string;
  readonly input: unknown;
}

/** Bytes of the input and output of the previous task. */
let before = 0;

/** The handler that piscina calls. */
export async function work({ module, name, input }: Order): Promise<unknown> {
  noteSpent(before);
  before = sizeOf(input);
  let outcome: Outcome<unknown>;
  try {
    const exported = (await import(module)) as Record<string, (input: unknown) => unknown>;
    const run = exported[name];
    if (run === undefined) throw new Error(`${module} exports no ${name}`);
    outcome = { output: await run(input) };
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
