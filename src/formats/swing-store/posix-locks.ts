/** Reads file locks from the kernel, without opening the file. */
import { readFileSync, type BigIntStats } from 'node:fs';

/**
 * Processes that hold a lock on the file. Every connection to a database in WAL mode holds one, on its `-shm` too.
 * @returns an empty set if `/proc/locks` does not exist, or does not name the file as stat does
 */
export function lockHolders({ dev, ino }: Pick<BigIntStats, 'dev' | 'ino'>): Set<number> {
  const hex = (value: bigint): string => value.toString(16).padStart(2, '0');
  // Device numbers as the kernel encodes them; see glibc's major() and minor().
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
    // Not Linux.
  }
  return holders;
}
