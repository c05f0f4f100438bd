/** Snapshots of format version 2, taken by `retrieve`, and what is in them. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import {
  retrieve,
  type Retrieved,
  type RetrieveOptions,
} from '../../../src/operation/retrieve/retrieve.ts';
import { readEntries, type SnapshotEntry } from '../../../src/snapshot/entries.ts';
import { readManifestFile } from '../../../src/snapshot/manifest.ts';
import { storedDirectory } from '../../../src/storage/directory.ts';

export type TakeOptions = Partial<Omit<RetrieveOptions, 'source' | 'snapshotDir'>>;

interface Taken extends Retrieved {
  readonly notes: readonly string[];
}

/** Takes a snapshot into `snapshotDir`. */
export async function take(
  snapshotDir: string,
  source: RetrieveOptions['source'],
  options: TakeOptions = {},
): Promise<Taken> {
  const notes: string[] = [];
  const progress = {
    phase: () => undefined,
    advance: () => undefined,
    note: (message: string) => void notes.push(message),
  };
  const taken = await retrieve({ source, snapshotDir, create: true, progress, ...options });
  return { ...taken, notes };
}

/** The list of entries of the snapshot in `dir`. */
export async function entriesOf(dir: string): Promise<SnapshotEntry[]> {
  const stored = storedDirectory(dir);
  const { manifest } = await readManifestFile(stored);
  const entries: SnapshotEntry[] = [];
  for await (const entry of readEntries(stored, manifest, await loadZstdCodec())) {
    entries.push(entry);
  }
  return entries;
}

/** The chunk of each artifact of the snapshot in `dir`, by the artifact's name. */
export async function chunksOf(dir: string): Promise<Map<string, string>> {
  const entries = await entriesOf(dir);
  return new Map(
    entries.flatMap(({ chunk, artifact }): [string, string][] =>
      artifact === undefined ? [] : [[artifact.name, chunk]],
    ),
  );
}

/** The artifacts whose entries are unused, by the ends of their names, sorted. */
export async function unusedIn(dir: string): Promise<string[]> {
  const entries = await entriesOf(dir);
  const unused = entries.filter((entry) => entry.unused === true);
  return unused.map(({ name }) => path.basename(name)).sort();
}

/** Inode numbers of the chunks of the snapshot in `dir`, by the hash of the chunk. */
export async function inodesOf(dir: string): Promise<Map<string, number>> {
  const inodes = new Map<string, number>();
  for (const name of await readdir(path.join(dir, 'chunks'))) {
    const { ino } = await stat(path.join(dir, 'chunks', name));
    inodes.set(name.replace(/\.tar\.zst$/u, ''), ino);
  }
  return inodes;
}

/** Files of the snapshot in `dir` that its manifest and its list do not name; none, unless something was left over. */
export async function strayFiles(dir: string): Promise<string[]> {
  const named = new Set(['manifest.json', 'entries.jsonl.zst', 'chunks']);
  for (const { chunk } of await entriesOf(dir)) named.add(`chunks/${chunk}.tar.zst`);
  const found = await readdir(dir, { recursive: true });
  return found.filter((name) => !named.has(name));
}
