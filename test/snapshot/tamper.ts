/** Changes an existing snapshot, as an attacker with write access can: every hash that can be right is right. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { readZstdFrames } from '../../src/io/zstd/read-frames.ts';
import type { SnapshotEntry } from '../../src/snapshot/entries.ts';
import { encodeSnapshotManifest } from '../../src/snapshot/manifest.ts';
import { type DraftManifest, sha256 } from './hostile/forge.ts';

/** Changes the manifest of the snapshot in `dir`. */
export async function changeManifest(
  dir: string,
  change: (manifest: DraftManifest) => void,
): Promise<void> {
  const file = path.join(dir, 'manifest.json');
  const manifest = JSON.parse(await readFile(file, 'utf8')) as DraftManifest;
  change(manifest);
  await writeFile(file, encodeSnapshotManifest(manifest));
}

/** Changes the list of entries of the snapshot in `dir`, and makes its manifest name the new one. */
export async function changeList(
  dir: string,
  change: (entries: SnapshotEntry[]) => SnapshotEntry[],
): Promise<void> {
  const codec = await loadZstdCodec();
  const file = path.join(dir, 'entries.jsonl.zst');
  const bytes = await readFile(file);
  let text = '';
  const frames = readZstdFrames(piecesOf(bytes), { maxFrameBytes: bytes.length });
  for await (const frame of frames) {
    text += Buffer.from(codec.decompress(frame, 1 << 22)).toString();
  }
  const entries = text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as SnapshotEntry);
  const changed = change(entries);
  const lines = changed.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  const list = codec.compress(Buffer.from(lines), 1);
  await writeFile(file, list);
  await changeManifest(dir, (manifest) => {
    manifest.entries = { count: changed.length, size: list.length, sha256: sha256(list) };
  });
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Swaps the chunks, in the list, of two segments of export data that have chunks of their own. */
export function swapSegments(entries: SnapshotEntry[]): SnapshotEntry[] {
  const [a, b] = entries.filter(({ name }) => name.startsWith('swingset/export-data/'));
  if (a === undefined || b === undefined) throw new Error('there are no two segments');
  return entries.map((entry) => {
    if (entry === a) return { ...a, chunk: b.chunk };
    return entry === b ? { ...b, chunk: a.chunk } : entry;
  });
}
