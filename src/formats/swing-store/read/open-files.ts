/**
 * Which files the connections to a store have open, as the kernel tells it: SQLite opens each by its path, and a path may
 * lead to another file the next time. Nothing is opened to find out (`io/held-files.ts` says why).
 */
import { fstatSync, readdirSync, statSync } from 'node:fs';
import { fileId, type FileId } from '../../../io/files/held-files.ts';

const WITNESSED = ['', '-wal', '-shm'] as const;
type Suffix = (typeof WITNESSED)[number];

/** What was seen of a store at one moment. */
export interface Sight {
  /** The database and the files beside it, by the paths that they have. */
  readonly files: ReadonlyMap<Suffix, FileId>;
  /** How many descriptors of this process are on each file; undefined where the system does not tell. */
  readonly descriptors: ReadonlyMap<FileId, number> | undefined;
}

/** @param database a path without links */
export function lookAt(database: string): Sight {
  const files = new Map<Suffix, FileId>();
  for (const suffix of WITNESSED) {
    const id = idAt(database + suffix);
    if (id !== undefined) files.set(suffix, id);
  }
  return { files, descriptors: countDescriptors() };
}

/** What a path leads to; undefined if nothing can be seen there. */
export function idAt(path: string): FileId | undefined {
  try {
    return fileId(statSync(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

/**
 * Whether so many connections, all that were opened between two sights, have the files open that are there now, and the
 * database is the one that was there before. A `-wal` may have come since, with them, or anew when a node closed its store.
 * Where the system does not tell which files are open, only whether the database is the same.
 */
export function haveOpened(connections: number, before: Sight, after: Sight): boolean {
  if (before.files.get('') !== after.files.get('')) return false;
  const more = (suffix: Suffix): number => {
    const id = after.files.get(suffix);
    if (id === undefined) return 0;
    return (after.descriptors?.get(id) ?? 0) - (before.descriptors?.get(id) ?? 0);
  };
  if (after.descriptors === undefined) return true;
  if (more('') < connections) return false;
  const wal = after.files.get('-wal');
  if (wal === undefined) return true;
  // One descriptor of the -shm serves all connections of a process to one database.
  const shm = after.files.get('-shm');
  const isMapped = shm === undefined || after.descriptors.has(shm);
  return more('-wal') >= connections && isMapped;
}

function countDescriptors(): Map<FileId, number> | undefined {
  let names: string[];
  try {
    names = readdirSync('/proc/self/fd');
  } catch {
    return undefined;
  }
  const counts = new Map<FileId, number>();
  for (const name of names) {
    try {
      const id = fileId(fstatSync(Number(name), { bigint: true }));
      counts.set(id, (counts.get(id) ?? 0) + 1);
    } catch {
      // That one was closed meanwhile.
    }
  }
  return counts;
}
