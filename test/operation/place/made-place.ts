/** Places of many small heights, made without packing: their chunks are of the right size, and of any content. */
import { createHash } from 'node:crypto';
import { link, mkdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import { EntriesWriter } from '../../../src/snapshot/entries.ts';
import {
  chunkFile,
  CHUNKS_DIR,
  ENTRIES_FILE,
  MANIFEST_FILE,
} from '../../../src/snapshot/layout.ts';
import { encodeSnapshotManifest } from '../../../src/snapshot/manifest.ts';

export interface MadeHeight {
  readonly height: number;
  /** Of `made.at`; without it, the manifest says nothing, as in version 0.1.0, and its file has the time of `modified`. */
  readonly at?: string;
  readonly modified?: string;
  /** Names of its chunks, which are hashed. A chunk that another height of the place has is linked. */
  readonly chunks?: readonly string[];
}

export const CHUNK_BYTES = 100;

const sha256 = (text: string | Uint8Array): string =>
  createHash('sha256').update(text).digest('hex');

/** The hash that a chunk of this name has in its place. */
export const hashOfChunk = sha256;

/** Makes heights in `dir`, which is made if it is not there. */
export async function makePlace(dir: string, heights: readonly MadeHeight[]): Promise<void> {
  const codec = await loadZstdCodec();
  const there = new Map<string, string>();
  for (const { height, at, modified, chunks = [`of ${height}`] } of heights) {
    const into = path.join(dir, String(height));
    await mkdir(path.join(into, CHUNKS_DIR), { recursive: true });
    const writer = new EntriesWriter(codec, 3);
    for (const chunk of chunks) {
      const hash = sha256(chunk);
      const file = path.join(into, chunkFile(hash));
      const earlier = there.get(hash);
      if (earlier === undefined) await writeFile(file, chunk.padEnd(CHUNK_BYTES));
      else await link(earlier, file);
      there.set(hash, file);
      writer.add({ chunk: hash, name: `swingset/${chunk}`, size: 1000, sha256: sha256(hash) });
    }
    const list = writer.finish() ?? new Uint8Array();
    await writeFile(path.join(into, ENTRIES_FILE), list);
    const manifest = {
      format: 'swingsnap-snapshot',
      version: 2,
      height,
      contentHash: sha256(`content ${height}`),
      modules: {
        swingset: {
          artifactMode: 'operational',
          exportDataHash: sha256(`export data ${height}`),
          operationalHash: sha256(`operational ${height}`),
          exportData: { entries: 10, size: 2000 },
          artifacts: { count: chunks.length, size: 1000 * chunks.length },
        },
      },
      entries: { count: chunks.length, size: list.length, sha256: sha256(list) },
      chunks: { count: chunks.length, size: CHUNK_BYTES * chunks.length },
      made: {
        by: 'swingsnap 0.1.0',
        codec: 'zstd-napi',
        level: 3,
        chunkSize: 16_777_216,
        ...(at === undefined ? {} : { at }),
      },
    };
    const file = path.join(into, MANIFEST_FILE);
    await writeFile(file, encodeSnapshotManifest(manifest));
    if (modified !== undefined) await utimes(file, new Date(modified), new Date(modified));
  }
}
