/** Keeps out of the way of other processes. */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** Behind whatever has the usual 0, and before what runs at 19. */
const NICENESS = 10;

/**
 * Gives all threads of this process at least this niceness; threads and processes that they start later inherit it. What
 * has a greater one keeps it. It cannot be taken back without privileges.
 * @param niceness 0 to 19; by default 10
 * @param threads ids of the threads; 0 is the calling thread
 */
export function lowerPriority(
  niceness = NICENESS,
  threads: readonly number[] = ownThreads(),
): void {
  for (const thread of threads) {
    try {
      if (getPriority(thread) < niceness) setPriority(thread, niceness);
    } catch {
      // The thread has ended, or the system does not allow it: no reason not to do the work.
    }
  }
}

/** On Linux, each thread has its own niceness, and Node has started some before any of our code ran. */
function ownThreads(): readonly number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [0];
  }
}
