/** The imports of src/, as a graph of its rooms: a room is a file, or a folder with all that is in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';

/** An import of one file of the tree by another. Paths are relative to the root, with `/`. Imports of types count. */
export interface Import {
  readonly from: string;
  readonly to: string;
}

/** All imports between the `.ts` files below `root`. */
export function importsBelow(root: string): Import[] {
  return filesBelow(root).flatMap((from) => {
    const text = readFileSync(join(root, from), 'utf8');
    return ts
      .preProcessFile(text)
      .importedFiles.map(({ fileName }) => fileName)
      .filter((name) => name.startsWith('.'))
      .map((name) => ({ from, to: below(root, resolve(root, dirname(from), name)) }));
  });
}

/** All `.ts` files below `root`, in order. */
export function filesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => below(root, join(entry.parentPath, entry.name)))
    .sort();
}

function below(root: string, path: string): string {
  return relative(root, path).split(sep).join('/');
}

/** The rooms in one folder, each with the rooms beside it that it imports. */
export type Neighbours = ReadonlyMap<string, ReadonlySet<string>>;

/** @param folder below the root; `` for the root itself */
export function neighboursIn(folder: string, imports: readonly Import[]): Neighbours {
  const prefix = folder === '' ? '' : `${folder}/`;
  const roomOf = (path: string): string | undefined =>
    path.startsWith(prefix) ? path.slice(prefix.length).split('/', 1)[0] : undefined;
  const neighbours = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [room, other] = [roomOf(from), roomOf(to)];
    if (room === undefined) continue;
    const known = neighbours.get(room) ?? new Set();
    neighbours.set(room, known);
    if (other !== undefined && other !== room) known.add(other);
  }
  return neighbours;
}

/** All folders of the tree, the root (``) first. */
export function foldersOf(files: readonly string[]): string[] {
  const folders = new Set(['']);
  for (const file of files) {
    const parts = file.split('/').slice(0, -1);
    parts.forEach((_, at) => folders.add(parts.slice(0, at + 1).join('/')));
  }
  return [...folders].sort();
}

/** A path through rooms that ends where it begins; undefined if there is none. */
export function findCircle(neighbours: Neighbours): string[] | undefined {
  const done = new Set<string>();
  const visit = (room: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(room)) return [...way.slice(way.indexOf(room)), room];
    if (done.has(room)) return undefined;
    for (const next of neighbours.get(room) ?? []) {
      const circle = visit(next, [...way, room]);
      if (circle !== undefined) return circle;
    }
    done.add(room);
    return undefined;
  };
  for (const room of neighbours.keys()) {
    const circle = visit(room, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

/** The rooms, each below all that import it. */
export function inOrder(neighbours: Neighbours): string[] {
  const ordered: string[] = [];
  const add = (room: string): void => {
    if (ordered.includes(room)) return;
    for (const next of [...(neighbours.get(room) ?? [])].sort()) add(next);
    if (!ordered.includes(room)) ordered.push(room);
  };
  for (const room of [...neighbours.keys()].sort()) add(room);
  return ordered.reverse();
}
