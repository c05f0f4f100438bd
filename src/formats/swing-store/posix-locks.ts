/** Locks on files, as the kernel shows them without anything being opened. */
import { readFileSync, type BigIntStats } from 'node:fs';

/**
 * Processes that hold a lock on the file, which every connection to a database in WAL mode does, on its `-shm` too.
 * @returns none where there is no `/proc/locks`, or none that names the file as stat does
 */
export function lockHolders({ dev, ino }: Pick<BigIntStats, 'dev' | 'ino'>): Set<number> {
  const hex = (value: bigint): string => value.toString(16).padStart(2, '0');
  // The kernel's own coding of device numbers, as glibc's major() and minor() take it apart.
  const major = (dev >> 8n) & 0xfffn;
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  const holders = new Set<number>();
  try {
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      // 1: POSIX  ADVISORY  READ 4711 fe:01:12345 128 128
      const [pid, place] = line.trim().split(/\s+/u).slice(-4);
      if (place === file) holders.add(Number(pid));
    }
  } catch {
    // Another system.
  }
  return holders;
}
