/**
 * Files that SQLite has open in this process. Its locks are POSIX locks, which belong to the process: whichever descriptor
 * of such a file is closed, all locks go, and another process may then write under a view that is held. So no other code
 * of this process opens them meanwhile.
 */
import type { BigIntStats } from 'node:fs';

/** Device and inode, which no two files share. */
export type FileId = string;

export function fileId({ dev, ino }: Pick<BigIntStats, 'dev' | 'ino'>): FileId {
  return `${dev}:${ino}`;
}

const held = new Map<FileId, number>();

/** @returns lets go of them; to be called once */
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

/** Whether it is one of them, by whatever name it was found. */
export function isHeld(found: Pick<BigIntStats, 'dev' | 'ino'>): boolean {
  return held.has(fileId(found));
}
