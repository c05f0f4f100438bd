import { describe, expect, it } from 'vitest';
import { processorsOfCgroup, threadsOn } from '../../../src/io/threads/concurrency.ts';

const GB = 1e9;

describe('threads by default', () => {
  it.each([
    { processors: 1, memory: 64 * GB, all: 1, half: 1 },
    { processors: 2, memory: 64 * GB, all: 2, half: 1 },
    { processors: 3, memory: 64 * GB, all: 3, half: 1 },
    { processors: 16, memory: 64 * GB, all: 16, half: 8 },
    // A quarter of the memory, at 150 MB a thread.
    { processors: 16, memory: 3 * GB, all: 5, half: 5 },
    { processors: 16, memory: 1.2 * GB, all: 2, half: 2 },
    { processors: 16, memory: 0.5 * GB, all: 1, half: 1 },
    // A cgroup allows one processor and a half, or less than one.
    { processors: 1.5, memory: 64 * GB, all: 1, half: 1 },
    { processors: 0.2, memory: 64 * GB, all: 1, half: 1 },
  ])('are $all, beside a node $half, on $processors processors with $memory bytes', (machine) => {
    expect(threadsOn(machine, 'all')).toBe(machine.all);
    expect(threadsOn(machine, 'half')).toBe(machine.half);
  });
});

describe('processors that a cgroup allows', () => {
  const processors = (files: Readonly<Record<string, string>>): number =>
    processorsOfCgroup((path) => files[path]);

  it('are those of version 2, the least of all levels', () => {
    const files = {
      '/proc/self/cgroup': '0::/system.slice/swingsnap.service\n',
      '/sys/fs/cgroup/system.slice/swingsnap.service/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/system.slice/cpu.max': '250000 100000\n',
    };
    expect(processors(files)).toBe(2.5);
    const own = { '/sys/fs/cgroup/system.slice/swingsnap.service/cpu.max': '50000 100000\n' };
    expect(processors({ ...files, ...own })).toBe(0.5);
  });

  it('are those at the top where a container does not see its own path', () => {
    expect(
      processors({
        '/proc/self/cgroup': '0::/../docker/0123\n',
        '/sys/fs/cgroup/cpu.max': '200000 100000\n',
      }),
    ).toBe(2);
  });

  it('are those of version 1', () => {
    const cgroup = '5:memory:/a\n4:cpu,cpuacct:/a\n3:cpuset:/a\n0::/\n';
    const of = (quota: string): number =>
      processors({
        '/proc/self/cgroup': cgroup,
        '/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us': `${quota}\n`,
        '/sys/fs/cgroup/cpu/a/cpu.cfs_period_us': '100000\n',
      });
    expect(of('300000')).toBe(3);
    expect(of('-1')).toBe(Infinity);
  });

  it('are not limited where nothing says so', () => {
    expect(processors({})).toBe(Infinity);
    expect(processors({ '/proc/self/cgroup': '0::/\n5:memory:/\nnonsense\n' })).toBe(Infinity);
    const max = { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' };
    expect(processors(max)).toBe(Infinity);
  });
});
