import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { inlinePool, type WorkerPool } from '../../src/io/threads/pool.ts';
import { given } from '../../src/io/threads/recipe.ts';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { openSnapshot } from '../../src/modules/swingset/snapshot-form.ts';
import type { Belief } from '../../src/snapshot/belief.ts';
import { EarlierSnapshot } from '../../src/snapshot/write/earlier.ts';
import { directoryStorage } from '../../src/storage/directory.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../src/swing-store-export/null-sink.ts';
import type {
  ExportArtifact,
  SwingStoreExport,
} from '../../src/swing-store-export/swing-store-export.ts';
import { visitOfOne } from '../../src/swing-store-export/visits.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { ourOwn, stranger } from './beliefs.ts';
import { makeContent, noise, openContent, type MadeSpec, type MadeVat } from './made-export.ts';
import { changeList, changeManifest, swapSegments } from './tamper.ts';
import { writeSnapshot } from './write-snapshot.ts';

const MIB = 1024 * 1024;
const CHUNK_BYTES = 4 * MIB;
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

/** Slow tasks, which end in a different order than they began. */
const latePool: WorkerPool = {
  ...inlinePool,
  concurrency: 3,
  run: async (task, input) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
    return task.run(input);
  },
};

const heap = (vatID: string, bytes: number): Buffer => Buffer.from(noise(bytes, vatID));
const vat = (vatID: string, heapBytes: number, items: readonly string[]): MadeVat => ({
  vatID,
  heap: heap(vatID, heapBytes),
  spans: [['first'], items],
});
/** Large enough for several segments; has a split heap, heaps with their own chunks, and small ones in groups. */
const kv = Object.fromEntries(
  Array.from({ length: 3000 }, (_, i) => [`k${String(i).padStart(5, '0')}`, noise(1000, i)]),
);
const vats = [
  vat('v1', 9 * MIB, ['a', 'b']),
  vat('v2', 2 * MIB, ['c']),
  vat('v3', 1.5 * MIB, ['d']),
  ...Array.from({ length: 8 }, (_, i) => vat(`w${i}`, 300_000, [`item ${i}`])),
];
const before: MadeSpec = { height: 7, kv, vats };
const after: MadeSpec = {
  height: 8,
  kv: { ...kv, k01000: 'another value' },
  vats: vats.map((old) =>
    old.vatID === 'v3' ? { ...vat('v3x', 1.6 * MIB, ['e']), vatID: 'v3' } : old,
  ),
};

/** An export that records which artifacts are read. */
function watched(source: SwingStoreExport, read: string[], seekable = true): SwingStoreExport {
  async function* artifacts(): AsyncGenerator<ExportArtifact> {
    for await (const artifact of source.artifacts()) {
      const { name } = artifact;
      const noted = (): AsyncIterable<Uint8Array> => {
        read.push(name);
        return artifact.data();
      };
      const recipe = async () => {
        const pieces: Uint8Array[] = [];
        for await (const piece of noted()) pieces.push(piece);
        const bytes = Buffer.concat(pieces);
        return given({ bytes });
      };
      const small = seekable && !name.startsWith('snapshot.v1.');
      yield { name, size: 1, data: noted, ...(small && { visit: visitOfOne(recipe) }) };
    }
  }
  return { ...source, artifacts };
}

interface Options {
  readonly reuse?: boolean;
  readonly recheck?: boolean;
  readonly chunkBytes?: number;
  readonly pool?: WorkerPool | undefined;
  readonly seekable?: boolean;
  readonly notes?: string[];
  readonly belief?: Belief;
}

async function write(dir: string, spec: MadeSpec, options: Options = {}) {
  const { reuse = true, recheck, chunkBytes = CHUNK_BYTES, pool, seekable } = options;
  const { notes = [], belief = ourOwn } = options;
  const storage = directoryStorage(dir);
  const content = makeContent(spec);
  const { height } = content;
  const note = (message: string): void => void notes.push(message);
  const earlier = reuse
    ? await EarlierSnapshot.open(storage, height, {
        codec,
        scratchDir: path.dirname(dir),
        note,
        belief,
        version: 1,
      })
    : undefined;
  const base = { height, codec, level: 1, chunkBytes, replace: false, madeBy: 'a test' };
  const read: string[] = [];
  try {
    const { result } = await copyVerified(
      watched(openContent(content), read, seekable),
      async () => writeSnapshot(storage, { ...base, pool, earlier, recheck }),
      { pool },
    );
    return { ...result, read };
  } finally {
    earlier?.close();
  }
}

async function verify(dir: string, name: string): Promise<string | undefined> {
  const opened = await openSnapshot(await directoryStorage(dir).open(name), { codec });
  const { summary } = await copyVerified(opened, async () => nullSink());
  await opened.close();
  return summary.hashes?.contentHash;
}

const chunkNames = async (dir: string, name: string): Promise<string[]> =>
  (await readdir(path.join(dir, name, 'chunks'))).sort();

describe('a snapshot after another', () => {
  const tempDir = useTempDir();
  const snapshotDir = async (): Promise<string> => {
    const dir = path.join(await tempDir(), 'snapshots');
    await mkdir(dir);
    return dir;
  };

  for (const [what, pool] of [
    ['one thing at a time', undefined],
    ['many at once', latePool],
  ] as const) {
    it(`reuses unchanged content unread, and means the same as without reuse (${what})`, async () => {
      const dir = await snapshotDir();
      await write(dir, before, { pool });
      const { manifest, reused, read } = await write(dir, after, { pool });
      const plain = await write(await snapshotDir(), after, { pool, reuse: false });
      expect(manifest.contentHash).toBe(plain.manifest.contentHash);
      expect(manifest.modules).toEqual(plain.manifest.modules);
      expect(plain.reused).toEqual({ chunks: 0, size: 0, rechecked: 0 });
      expect(await chunkNames(dir, '8')).toEqual(
        (await readdir(path.join(dir, '8', 'chunks'))).sort(),
      );
      // The heap of v3, its span, and the small ones that share a chunk with that span.
      expect(read).toContain('snapshot.v3.1');
      expect(read).not.toContain('snapshot.v1.1');
      expect(read).not.toContain('snapshot.v2.1');
      const { chunks, entries } = manifest;
      expect(entries).toEqual(plain.manifest.entries);
      expect(reused.chunks).toBeGreaterThan(chunks.count / 2);
      expect(reused.rechecked).toBe(reused.chunks);
      const old = new Set(await chunkNames(dir, '7'));
      let links = 0;
      for (const name of await chunkNames(dir, '8')) {
        const { nlink } = await stat(path.join(dir, '8', 'chunks', name));
        expect(nlink).toBe(old.has(name) ? 2 : 1);
        links += nlink - 1;
      }
      expect(links).toBe(reused.chunks);
      // Complete by itself, even without the earlier one.
      await rm(path.join(dir, '7'), { recursive: true });
      expect(await verify(dir, '8')).toBe(manifest.contentHash);
    });
  }

  it.each(['archival', 'debug'] as const)(
    'reuses artifacts from a list that has small ones after large ones (%s)',
    async (artifactMode) => {
      const dir = await snapshotDir();
      const small = vat('v0', 1000, ['a']);
      const mixed: MadeSpec = { artifactMode, vats: [small, ...vats, vat('w9', 2 * MIB, ['z'])] };
      await write(dir, { ...mixed, height: 7 });
      const notes: string[] = [];
      const { manifest, reused } = await write(dir, { ...mixed, height: 8 }, { notes });
      expect(notes).toEqual([]);
      expect(reused.chunks).toBe(manifest.chunks.count);
    },
  );

  it('is the same from a source that can only be read in order', async () => {
    const dir = await snapshotDir();
    await write(dir, before, { seekable: false });
    const { manifest } = await write(dir, after, { seekable: false, pool: latePool });
    expect(await verify(dir, '8')).toBe(manifest.contentHash);
  });

  it('packs anew the chunks that have rotted in the earlier one', async () => {
    const dir = await snapshotDir();
    await write(dir, before);
    for (const name of await chunkNames(dir, '7')) {
      const file = path.join(dir, '7', 'chunks', name);
      const bytes = await readFile(file);
      bytes[bytes.length >> 1]! ^= 1;
      await rm(file);
      await writeFile(file, bytes);
    }
    const notes: string[] = [];
    const { manifest, reused } = await write(dir, after, { pool: latePool, notes });
    expect(reused).toEqual({ chunks: 0, size: 0, rechecked: 0 });
    expect(notes).toEqual([expect.stringContaining(`${dir}/7 is not whole: chunks/`)]);
    expect(await verify(dir, '8')).toBe(manifest.contentHash);
    expect(await readdir(dir)).toEqual(['7', '8']);
  });

  it('reuses a rotten chunk without the recheck, and verify finds it', async () => {
    const dir = await snapshotDir();
    await write(dir, before);
    const [name = ''] = await chunkNames(dir, '7');
    await writeFile(path.join(dir, '7', 'chunks', name), 'rot');
    const { reused } = await write(dir, { ...before, height: 8 }, { recheck: false });
    expect(reused.rechecked).toBe(0);
    await expect(verify(dir, '8')).rejects.toMatchObject({ code: 'SNAPSHOT_DAMAGED' });
  });

  it('packs anew the chunks that are missing or not files', async () => {
    const dir = await snapshotDir();
    await write(dir, before);
    const names = await chunkNames(dir, '7');
    for (const [i, name] of names.entries()) {
      const file = path.join(dir, '7', 'chunks', name);
      await rm(file);
      if (i % 2 === 0) await mkdir(file);
    }
    const { manifest, reused } = await write(dir, after);
    expect(reused.chunks).toBe(0);
    expect(await verify(dir, '8')).toBe(manifest.contentHash);
  });

  it('reuses an unknown one after verifying all of it', async () => {
    const dir = await snapshotDir();
    await write(dir, before);
    const { reused, manifest } = await write(dir, after, { belief: stranger });
    expect(reused.chunks).toBeGreaterThan(manifest.chunks.count / 2);
  });

  it.each([
    ['whose list swaps two chunks', async (dir: string) => changeList(dir, swapSegments)],
    [
      'whose list names one span as another',
      async (dir: string) =>
        changeList(dir, (entries) => {
          const spans = entries.filter(({ artifact }) => artifact?.name.startsWith('transcript.'));
          const [one, other] = spans.map(({ artifact }) => artifact!);
          return entries.map((entry) =>
            entry.artifact === one
              ? { ...entry, artifact: { ...one!, identity: other!.identity } }
              : entry,
          );
        }),
    ],
    [
      'that has the wrong contentHash',
      async (dir: string) =>
        changeManifest(dir, (manifest) => {
          manifest.contentHash = 'ab'.repeat(32);
        }),
    ],
    [
      'whose mode hides artifacts from verification',
      async (dir: string) =>
        changeManifest(dir, (manifest) => {
          manifest.modules.swingset.artifactMode = 'operational';
        }),
    ],
  ])('takes nothing from one %s, and means the same as without', async (_what, tamper) => {
    const dir = await snapshotDir();
    await write(dir, { ...before, artifactMode: 'archival' });
    await tamper(path.join(dir, '7'));
    const notes: string[] = [];
    const next: MadeSpec = { ...after, artifactMode: 'archival' };
    const { manifest, reused } = await write(dir, next, { notes, belief: stranger });
    expect(reused).toEqual({ chunks: 0, size: 0, rechecked: 0 });
    expect(notes).toEqual([expect.stringContaining(`nothing is reused from ${dir}/7: `)]);
    const plain = await write(await snapshotDir(), next, { reuse: false });
    expect(manifest.contentHash).toBe(plain.manifest.contentHash);
    expect(await verify(dir, '8')).toBe(manifest.contentHash);
  });

  it('reuses a known one rather than nearer foreign ones, and verifies few of those', async () => {
    const dir = await snapshotDir();
    await write(dir, { ...before, height: 2 });
    for (const height of [3, 4, 5, 6]) {
      await write(dir, { ...before, height }, { reuse: false });
      await changeList(path.join(dir, String(height)), swapSegments);
    }
    const known = await readFile(path.join(dir, '2', 'manifest.json'));
    let verified = 0;
    const belief: Belief = {
      knows: ({ sha256 }) => sha256 === createHash('sha256').update(known).digest('hex'),
      verify: async (stored, file) => {
        verified += 1;
        await stranger.verify(stored, file);
      },
    };
    const note = (): void => undefined;
    const options = { codec, scratchDir: dir, note, belief, version: 1 } as const;
    const earlier = await EarlierSnapshot.open(directoryStorage(dir), 8, options);
    expect([earlier?.height, verified]).toEqual([2, 0]);
    earlier?.close();
    await rm(path.join(dir, '2'), { recursive: true });
    expect(await EarlierSnapshot.open(directoryStorage(dir), 8, options)).toBeUndefined();
    expect(verified).toBe(2);
  });

  it.each([
    ['that leads nowhere', async (file: string) => symlink('nowhere', file)],
    ['that leads to itself', async (file: string) => symlink('manifest.json', file)],
    ['that is a directory', async (file: string) => mkdir(file)],
    ['that is a pipe', async (file: string) => promisify(execFile)('mkfifo', [file])],
  ])('goes on where an earlier height has a manifest %s', async (_what, make) => {
    const dir = await snapshotDir();
    await mkdir(path.join(dir, '6'));
    await make(path.join(dir, '6', 'manifest.json'));
    const { manifest } = await write(dir, after);
    expect(await verify(dir, '8')).toBe(manifest.contentHash);
  });

  it('reuses the nearest earlier one that is proved, and never a later one', async () => {
    const dir = await snapshotDir();
    await write(dir, { ...before, height: 5 });
    await write(dir, { ...before, height: 6 }, { reuse: false });
    await write(dir, { ...before, height: 9 }, { reuse: false });
    await writeFile(path.join(dir, '6', 'manifest.json'), 'no manifest');
    const note = (): void => undefined;
    const options = { codec, scratchDir: dir, note, belief: ourOwn, version: 1 } as const;
    const earlier = await EarlierSnapshot.open(directoryStorage(dir), 8, options);
    expect(earlier?.height).toBe(5);
    earlier?.close();
    expect(await EarlierSnapshot.open(directoryStorage(dir), 4, options)).toBeUndefined();
  });

  it('splits a large artifact anew if the chunk size has changed', async () => {
    const dir = await snapshotDir();
    await write(dir, before);
    const { manifest, read } = await write(dir, { ...before, height: 8 }, { chunkBytes: 5 * MIB });
    expect(read).toContain('snapshot.v1.1');
    expect(await verify(dir, '8')).toBe(manifest.contentHash);
  });
});
