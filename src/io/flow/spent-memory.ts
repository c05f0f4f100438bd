/**
 * Buffers that a thread is done with. V8 counts what they hold, and looks for them only when tens of megabytes have come
 * together: in every thread, and in memory that was never used before, which is slow. In a thread that works on one
 * thing after the other all but the last is spent, and a look at what is young, which takes half a millisecond, finds it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes spent between two looks. */
const LOOK_EVERY_BYTES = 8 * 1024 * 1024;

type Collect = (options: { type: 'minor' }) => void;

let collect: Collect | undefined;
let spent = 0;

/** Tells that this thread is done with buffers of so many bytes. */
export function noteSpent(bytes: number): void {
  spent += bytes;
  if (spent < LOOK_EVERY_BYTES) return;
  spent = 0;
  collect ??= makeCollect();
  collect({ type: 'minor' });
}

/** V8's own function, which a new context has once the flag is set. */
function makeCollect(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
