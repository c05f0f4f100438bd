/**
 * Asks the kernel which files the connections to a store have open. SQLite opens each file by its path, and a path
 * may lead to another file the next time. Opens nothing itself (`io/files/held-files.ts` explains why).
 */
import { fstatSync, readdirSync, statSync } from 'node:fs';
import { fileId, type FileId } from '../../../io/files/held-files.ts';

const WITNESSED = ['', '-wal', '-shm'] as const;
type Suffix = (typeof WITNESSED)[number];

/** The files of a store at one moment. */
export interface Sight {
  /** The files found at the paths of the database and its side files. */
  readonly files: ReadonlyMap<Suffix, FileId>;
  /** Number of this process's descriptors for each file; undefined if the system does not report them. */
  readonly descriptors: ReadonlyMap<FileId, number> | undefined;
}

/**
 * @param database a path without links
 * @param other a descriptor of this process that belongs to no connection, and is not counted
 */
export function lookAt(database: string, other?: number): Sight {
  const files = new Map<Suffix, FileId>();
  for (const suffix of WITNESSED) {
    const id = idAt(database + suffix);
    if (id !== undefined) files.set(suffix, id);
  }
  return { files, descriptors: countDescriptors(other) };
}

/** The file that a path leads to; undefined if stat fails. */
export function idAt(path: string): FileId | undefined {
  try {
    return fileId(statSync(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

/**
 * Whether the database is still the same file, and the connections opened between two sights use the files that are
 * now in place. The `-wal` may be new: these connections may have made it, or a node that closed its store. If the
 * system does not report open files, only the database is compared.
 * @param connections number of all connections opened between the two sights
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
  // All connections of a process to one database share one descriptor of the -shm.
  const shm = after.files.get('-shm');
  const isMapped = shm === undefined || after.descriptors.has(shm);
  return more('-wal') >= connections && isMapped;
}

function countDescriptors(other: number | undefined): Map<FileId, number> | undefined {
  let names: string[];
  try {
    names = readdirSync('/proc/self/fd');
  } catch {
    return undefined;
  }
  const counts = new Map<FileId, number>();
  for (const name of names) {
    if (Number(name) === other) continue;
    try {
      const id = fileId(fstatSync(Number(name), { bigint: true }));
      counts.set(id, (counts.get(id) ?? 0) + 1);
    } catch {
      // Closed in the meantime.
    }
  }
  return counts;
}
