/** How many threads an operation has, unless its caller says so. */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';

/** What there is for all processes together. */
export interface Machine {
  readonly processors: number;
  /** In bytes. */
  readonly memory: number;
}

/** How many of the processors an operation may take. */
export type Share = 'all' | 'half';

/** What a thread holds that packs or unpacks with a window of 128 MiB, about, in bytes. */
export const THREAD_BYTES = 150e6;

/** All threads together take no more than this part of the memory. */
const MEMORY_PART = 1 / 4;

/** @returns at least 1 */
export function threadsOn({ processors, memory }: Machine, share: Share): number {
  const busy = share === 'half' ? processors / 2 : processors;
  return Math.max(1, Math.floor(Math.min(busy, (memory * MEMORY_PART) / THREAD_BYTES)));
}

/** The number of threads for an operation whose caller does not choose it. */
export function defaultConcurrency(share: Share): number {
  return threadsOn(thisMachine(), share);
}

/** What this process may use: of the processors by its affinity and its cgroup, of the memory by its cgroup. */
function thisMachine(): Machine {
  // Only later versions of Node know what the cgroup allows of the processors.
  const allowed = processorsOfCgroup(textOf);
  // 0, or more than there is, if nothing limits it.
  const limit = process.constrainedMemory();
  return {
    processors: Math.min(availableParallelism(), allowed),
    memory: limit > 0 ? Math.min(limit, totalmem()) : totalmem(),
  };
}

/**
 * How many processors' time the cgroup of this process gets, of either version. A limit of a cgroup above it counts too.
 * @param read gives the text of a file, or undefined if it cannot be read
 * @returns `Infinity` if there is no limit
 */
export function processorsOfCgroup(read: (path: string) => string | undefined): number {
  let least = Infinity;
  for (const line of read('/proc/self/cgroup')?.split('\n') ?? []) {
    const [, controllers, group = ''] = /^\d+:([^:]*):(\/.*)$/u.exec(line) ?? [];
    if (controllers === undefined) continue;
    const isOfTime = controllers === '' || controllers.split(',').includes('cpu');
    if (!isOfTime) continue;
    for (const path of upwards(group)) {
      const [quota, period] =
        controllers === ''
          ? (read(join('/sys/fs/cgroup', path, 'cpu.max'))
              ?.trim()
              .split(' ') ?? [])
          : ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) =>
              read(join('/sys/fs/cgroup/cpu', path, name)),
            );
      const processors = Number(quota) / Number(period);
      // `max` and -1 mean no limit.
      if (processors > 0) least = Math.min(least, processors);
    }
  }
  return least;
}

/** A path and all above it. In a container, only the last of them may be there, and is its own. */
function upwards(path: string): string[] {
  const above = join(path, '..');
  return above === path ? [path] : [path, ...upwards(above)];
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
