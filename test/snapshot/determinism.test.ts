import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { openSnapshot } from '../../src/modules/swingset/snapshot-form.ts';
import { readEntries } from '../../src/snapshot/entries.ts';
import type { SnapshotStorage } from '../../src/storage/contract.ts';
import { directoryStorage } from '../../src/storage/directory.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../src/swing-store-export/null-sink.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { availableCodecs } from '../io/zstd/available-codecs.ts';
import {
  makeContent,
  noise,
  openContent,
  smallSpec,
  splitSpec,
  type MadeSpec,
  type MadeVat,
} from './made-export.ts';
import { writeSnapshot } from './write-snapshot.ts';

const MIB = 1024 * 1024;
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

interface WriteOptions {
  readonly codec?: ZstdCodec;
  readonly level?: number;
  readonly chunkBytes?: number;
}

async function write(storage: SnapshotStorage, spec: MadeSpec, options: WriteOptions = {}) {
  const content = makeContent(spec);
  const all = {
    codec,
    level: 1,
    chunkBytes: 4 * MIB,
    replace: false,
    madeBy: 'a test',
    ...options,
  };
  const { result } = await copyVerified(openContent(content), async () =>
    writeSnapshot(storage, { ...all, height: content.height }),
  );
  return result.manifest;
}

/** Verifies a snapshot with a codec. Returns its export data and its artifacts' sizes. */
async function read(storage: SnapshotStorage, name: string, reader: ZstdCodec) {
  const opened = await openSnapshot(await storage.open(name), { codec: reader });
  const blocks: Uint8Array[] = [];
  const sink = {
    ...nullSink(),
    writeExportData: async (block: Uint8Array) => void blocks.push(block),
  };
  const { summary } = await copyVerified(opened, async () => sink);
  await opened.close();
  return { summary, exportData: Buffer.concat(blocks) };
}

/** The names of the chunks in a spec's snapshot. */
async function chunksOf(spec: MadeSpec): Promise<Set<string>> {
  const storage = memoryStorage();
  const manifest = await write(storage, spec);
  const chunks = new Set<string>();
  const stored = await storage.open(String(manifest.height));
  for await (const { chunk } of readEntries(stored, manifest, codec)) chunks.add(chunk);
  return chunks;
}

const changed = (before: Set<string>, after: Set<string>): number =>
  [...after].filter((chunk) => !before.has(chunk)).length;

describe('a snapshot', () => {
  const tempDir = useTempDir();

  it('has the same bytes in all files whenever it is made', async () => {
    const trees = [];
    for (let run = 0; run < 2; run += 1) {
      const dir = await tempDir();
      await write(directoryStorage(dir), splitSpec);
      trees.push(await listTree(path.join(dir, '7')));
    }
    expect(trees[1]).toEqual(trees[0]);
  });

  it('has the same content hash for every codec, level and chunk size, and every codec reads it', async () => {
    const hashes = new Set<string>();
    const codecs = await availableCodecs();
    expect(codecs.length).toBeGreaterThan(1);
    for (const writer of codecs) {
      for (const [level, chunkBytes] of [
        [1, 4 * MIB],
        [5, 5_000_001],
      ] as const) {
        const storage = memoryStorage();
        const manifest = await write(storage, splitSpec, { codec: writer, level, chunkBytes });
        expect(manifest.made).toEqual({
          by: 'a test',
          codec: writer.name,
          level,
          chunkSize: chunkBytes,
        });
        hashes.add(manifest.contentHash);
        const readers = level === 1 ? codecs : [writer];
        for (const reader of readers) {
          const { summary } = await read(storage, '7', reader);
          hashes.add(summary.hashes!.contentHash!);
        }
      }
    }
    expect(hashes.size).toBe(1);
  });

  it('has a different content hash for a different height, value or artifact', async () => {
    const storage = memoryStorage();
    const hashes = [
      (await write(storage, smallSpec)).contentHash,
      (await write(storage, { ...smallSpec, height: 8 })).contentHash,
      (await write(storage, { ...smallSpec, height: 9, kv: { a: '2' } })).contentHash,
      (await write(storage, { ...smallSpec, height: 10, vats: smallSpec.vats!.slice(1) }))
        .contentHash,
    ];
    expect(new Set(hashes).size).toBe(4);
  });

  it('carries an empty store', async () => {
    const storage = memoryStorage();
    const manifest = await write(storage, { height: 0, artifactMode: 'operational' });
    expect(manifest).toMatchObject({ entries: { count: 0 }, chunks: { count: 0, size: 0 } });
    const { exportData } = await read(storage, '0', codec);
    expect(exportData).toHaveLength(0);
  });

  it('carries lines longer than a chunk, even with equal values', async () => {
    const long = 'long '.repeat(2 * MIB);
    const spec = {
      kv: {
        a: '1',
        'long.one': long,
        'long.two': long,
        longer: long.repeat(5),
        z: '2',
      },
    };
    const storage = memoryStorage();
    const manifest = await write(storage, spec);
    expect(manifest.modules.swingset.exportData.size).toBeGreaterThan(70 * MIB);
    const { exportData } = await read(storage, '7', codec);
    expect(exportData.equals(Buffer.from(makeContent(spec).lines.join('')))).toBe(true);
  });

  it.each([4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 8 * MIB, MIB - 1, MIB, 1, 0])(
    'carries an artifact of %i bytes, in parts only if it is larger than a chunk',
    async (size) => {
      const spec = {
        vats: [{ vatID: 'v1', heap: Buffer.alloc(size, 'heap'), spans: [['x'], []] }],
      };
      const storage = memoryStorage();
      const manifest = await write(storage, spec);
      await read(storage, '7', codec);
      const names: string[] = [];
      const stored = await storage.open('7');
      for await (const { name } of readEntries(stored, manifest, codec)) {
        if (name.includes('snapshot.v1')) names.push(name);
      }
      const parts = Math.ceil(size / (4 * MIB));
      expect(names).toEqual(
        parts < 2
          ? ['swingset/artifacts/snapshot.v1.1']
          : Array.from({ length: parts }, (_, i) => `swingset/artifacts/snapshot.v1.1/00000${i}`),
      );
    },
  );
});

describe('cuts', () => {
  /** About 12 MiB: a dozen segments. */
  const kv = Object.fromEntries(
    Array.from({ length: 12_000 }, (_, i) => [`v${i % 90}.vs.vom.${i}`, noise(1000, i)]),
  );
  const keys = Object.keys(kv).sort();
  let before: Set<string>;
  beforeAll(async () => {
    before = await chunksOf({ kv });
  });

  it('make segments of about 1 MiB', () => {
    expect(before.size).toBeGreaterThan(8);
    expect(before.size).toBeLessThan(18);
  });

  it.each([0, 6000, 11_999])('change one chunk if one value changes (key %i)', async (i) => {
    const after = await chunksOf({ kv: { ...kv, [keys[i]!]: noise(1000, 'other') } });
    expect(changed(before, after)).toBe(1);
  });

  it.each([0, 6000, 11_999])(
    'change at most two chunks if a key is added or removed (key %i)',
    async (i) => {
      const { [keys[i]!]: _gone, ...less } = kv;
      expect(changed(before, await chunksOf({ kv: less }))).toBeLessThanOrEqual(2);
      const more = { ...kv, [`${keys[i]!}a`]: noise(1000, 'new') };
      expect(changed(before, await chunksOf({ kv: more }))).toBeLessThanOrEqual(2);
    },
  );

  it('are equally frequent for short and long lines', async () => {
    for (const bytes of [200, 10_000, 100_000]) {
      const total = 8 * MIB;
      const even = Object.fromEntries(
        Array.from({ length: total / bytes }, (_, i) => [`key.${i}`, 'x'.repeat(bytes)]),
      );
      const { size } = await chunksOf({ kv: even });
      expect(size, `${bytes} bytes`).toBeGreaterThan(4);
      expect(size, `${bytes} bytes`).toBeLessThan(14);
    }
  });

  it('keep the earlier parts of a span that has grown', async () => {
    const span = (items: number): MadeVat => ({
      vatID: 'v1',
      spans: [Array.from({ length: items }, (_, i) => noise(100_000, i))],
    });
    const [short, long] = [
      await chunksOf({ vats: [span(100)] }),
      await chunksOf({ vats: [span(101)] }),
    ];
    expect(short.size).toBe(4);
    // The export data, whose record differs, and the last part.
    expect(changed(short, long)).toBe(2);
  });

  it('keep the other chunks of small artifacts if one of them changes', async () => {
    const vats = Array.from({ length: 60 }, (_, i): MadeVat => ({
      vatID: `v${String(i).padStart(3, '0')}`,
      heap: Buffer.from(noise(150_000, `heap ${i}`)),
      spans: [['x'], []],
    }));
    const all = await chunksOf({ vats });
    expect(all.size).toBeGreaterThan(4);
    const heap = Buffer.from(noise(150_000, 'another'));
    const other = vats.map((vat, i) => (i === 30 ? { ...vat, heap } : vat));
    expect(changed(all, await chunksOf({ vats: other }))).toBe(2);
    const fewer = vats.filter((_, i) => i !== 30);
    expect(changed(all, await chunksOf({ vats: fewer }))).toBeLessThanOrEqual(4);
  });
});
