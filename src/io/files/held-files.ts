/**
 * Files that SQLite has open in this process. Its locks are POSIX locks, which belong to the process: closing any
 * descriptor of such a file releases all of them, and another process may then write under an open view. So no other
 * code of this process opens these files meanwhile.
 */
import type { BigIntStats } from 'node:fs';

/** Device and inode, unique to a file. */
export type FileId = string;

export function fileId({ dev, ino }: Pick<BigIntStats, 'dev' | 'ino'>): FileId {
  return `${dev}:${ino}`;
}

const held = new Map<FileId, number>();

/** @returns a function that releases them; to be called once */
export function holdFiles(ids: readonly FileId[]): () => void {
  for (const id of ids) held.set(id, (held.get(id) ?? 0) + 1);
  return () => {
    for (const id of ids) {
      const others = (held.get(id) ?? 1) - 1;
      if (others === 0) held.delete(id);
      else held.set(id, others);
    }
  };
}

/** Whether it is one of these files, under any name. */
export function isHeld(found: Pick<BigIntStats, 'dev' | 'ino'>): boolean {
  return held.has(fileId(found));
}
