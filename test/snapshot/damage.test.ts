import { cp, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { VerificationError } from '../../src/errors.ts';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { readEntries } from '../../src/snapshot/entries.ts';
import {
  decodeSnapshotManifest,
  readSnapshotManifest,
  type SnapshotManifest,
} from '../../src/snapshot/manifest.ts';
import type { StoredSnapshot } from '../../src/storage/contract.ts';
import { directoryStorage, storedDirectory } from '../../src/storage/directory.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { makeContent, openContent, smallSpec, type MadeSpec } from './made-export.ts';
import { restore, verify, verifyQuickly } from './refusal.ts';
import { writeSnapshot } from './write-snapshot.ts';

const MIB = 1024 * 1024;
const ENTRIES = 'entries.jsonl.zst';
const MANIFEST = 'manifest.json';

/**
 * Damage of the manifest is harmless exactly if its decoded content differs only in `made`, on which nothing depends.
 * No other damage is harmless.
 */
function isHarmless(before: Buffer, after: Buffer): boolean {
  const meaning = (bytes: Buffer): string =>
    JSON.stringify({ ...decodeSnapshotManifest(bytes, MANIFEST), made: undefined });
  try {
    return meaning(before) === meaning(after);
  } catch {
    return false;
  }
}

/** Two parts. */
const splitHeapSpec: MadeSpec = {
  kv: { a: '1' },
  vats: [{ vatID: 'v1', heap: Buffer.alloc(5 * MIB, 'heap '), spans: [['one'], ['two']] }],
};

describe.each<[string, MadeSpec, number]>([
  // The distance between the flipped bytes of a chunk.
  ['a small snapshot', smallSpec, 67],
  ['a snapshot with a split artifact', splitHeapSpec, 331],
])('%s', (_what, spec, stride) => {
  const fileDir = useTempDir('file');
  const tempDir = useTempDir();
  let original: string;
  let files: string[];

  beforeAll(async () => {
    const storage = directoryStorage(await fileDir());
    const codec = await loadZstdCodec();
    const content = makeContent(spec);
    const options = { codec, level: 3, chunkBytes: 4 * MIB, replace: false, madeBy: 'a test' };
    await copyVerified(openContent(content), async () =>
      writeSnapshot(storage, { ...options, height: content.height }),
    );
    original = path.join(storage.location, String(content.height));
    const tree = await listTree(original);
    files = Object.keys(tree).filter((name) => tree[name]?.type === 'file');
  });

  async function copyOf(): Promise<string> {
    const dir = path.join(await tempDir(), '7');
    await cp(original, dir, { recursive: true });
    return dir;
  }

  /** Checks everything that must hold for a snapshot with a damaged `file`. */
  async function expectRefused(dir: string, file: string, withRestore: boolean): Promise<void> {
    expect(await verify(dir), file).toMatchObject({ exitCode: 3 });
    if (file !== MANIFEST) expect(await verifyQuickly(dir), file).toMatchObject({ exitCode: 3 });
    if (withRestore) {
      expect(await restore(dir, await tempDir()), file).toMatchObject({ exitCode: 3 });
    }
  }

  it('is refused with any byte of its manifest changed, unless only made differs', async () => {
    const dir = await copyOf();
    const file = path.join(dir, MANIFEST);
    const before = await readFile(file);
    const found = { harmless: 0, undecodable: 0, decodable: 0 };
    for (let at = 0; at < before.length; at += 1) {
      const after = Buffer.from(before);
      after[at]! ^= 1 << (at % 8);
      const isIt = isHarmless(before, after);
      const kind = isIt ? 'harmless' : decodes(after) ? 'decodable' : 'undecodable';
      found[kind] += 1;
      // Every reader decodes the manifest first, so a manifest that cannot be decoded is refused.
      if (found[kind] % (kind === 'undecodable' ? 60 : 12) !== 1) continue;
      await writeFile(file, after);
      const verdict = await verify(dir);
      if (isIt) expect(verdict, `byte ${at}`).toBeUndefined();
      else expect(verdict, `byte ${at}`).toMatchObject({ exitCode: 3 });
    }
    expect(found.harmless).toBeGreaterThan(0);
    expect(found.harmless).toBeLessThan(before.length - before.indexOf('"made"'));
    expect(found.undecodable).toBeGreaterThan(found.decodable);
    expect(found.decodable).toBeGreaterThan(0);
  });

  it('is refused with any byte of its list of entries changed', async () => {
    const dir = await copyOf();
    const file = path.join(dir, ENTRIES);
    const before = await readFile(file);
    const stored = storedDirectory(dir);
    const codec = await loadZstdCodec();
    const manifest = await readSnapshotManifest(stored);
    for (let at = 0; at < before.length; at += 1) {
      const after = Buffer.from(before);
      after[at]! ^= 1 << (at % 8);
      const read = countEntries(withFile(stored, ENTRIES, after), manifest, codec);
      await expect(read, `byte ${at}`).rejects.toThrow(VerificationError);
      if (at % 67 !== 0) continue;
      await writeFile(file, after);
      await expectRefused(dir, ENTRIES, at === 0);
    }
  });

  it('is refused with any byte of a chunk changed', async () => {
    const dir = await copyOf();
    for (const name of files.filter((file) => file.startsWith('chunks/'))) {
      const file = path.join(dir, name);
      const before = await readFile(file);
      for (let at = 0; at < before.length; at += at < 20 ? 5 : stride) {
        const after = Buffer.from(before);
        after[at]! ^= 1 << (at % 8);
        await writeFile(file, after);
        await expectRefused(dir, name, at === 0);
      }
      await writeFile(file, before);
    }
    expect(await verify(dir)).toBeUndefined();
  });

  const wholeFile: readonly (readonly [string, (file: string, size: number) => Promise<void>])[] = [
    ['cut in half', async (file, size) => truncate(file, size >> 1)],
    ['cut by a byte', async (file, size) => truncate(file, size - 1)],
    ['cut to a byte', async (file) => truncate(file, 1)],
    ['emptied', async (file) => truncate(file, 0)],
    ['longer by a zero byte', async (file, size) => truncate(file, size + 1)],
    ['longer by itself', async (file) => writeFile(file, await readFile(file), { flag: 'a' })],
    ['zeros of the same length', async (file, size) => writeFile(file, Buffer.alloc(size))],
    ['removed', async (file) => rm(file)],
    [
      'replaced by a directory',
      async (file) => {
        await rm(file);
        await mkdir(file);
      },
    ],
    [
      'replaced by a link to nothing',
      async (file) => {
        await rm(file);
        await symlink('nothing', file);
      },
    ],
  ];

  it.each(wholeFile)('is refused with any of its files %s', async (_what, damage) => {
    for (const name of files) {
      const dir = await copyOf();
      const { size } = (await listTree(dir))[name]!;
      await damage(path.join(dir, name), size);
      await expectRefused(dir, name, files.indexOf(name) % 4 === 0);
    }
  });

  it('is refused with any two of its files swapped', async () => {
    for (const [i, one] of files.entries()) {
      const other = files[(i + 1) % files.length]!;
      const dir = await copyOf();
      await rename(path.join(dir, one), path.join(dir, 'aside'));
      await rename(path.join(dir, other), path.join(dir, one));
      await rename(path.join(dir, 'aside'), path.join(dir, other));
      await expectRefused(dir, [one, other].includes(MANIFEST) ? MANIFEST : one, i % 4 === 0);
    }
  });

  it('is refused without its chunks', async () => {
    const dir = await copyOf();
    await rm(path.join(dir, 'chunks'), { recursive: true });
    await expectRefused(dir, 'chunks', true);
    await writeFile(path.join(dir, 'chunks'), 'a file');
    await expectRefused(dir, 'chunks', true);
  });

  it('is accepted with additional files', async () => {
    const dir = await copyOf();
    await writeFile(path.join(dir, 'chunks', 'README'), 'x');
    await writeFile(path.join(dir, '.nfs0001'), 'x');
    expect(await verify(dir)).toBeUndefined();
    expect(await verifyQuickly(dir)).toBeUndefined();
  });

  it('is reported as missing, not damaged, only where nothing exists', async () => {
    expect(await verify(path.join(await tempDir(), '7'))).toMatchObject({
      exitCode: 5,
      code: 'SOURCE_MISSING',
    });
  });
});

function decodes(bytes: Buffer): boolean {
  try {
    decodeSnapshotManifest(bytes, MANIFEST);
    return true;
  } catch {
    return false;
  }
}

/** The snapshot with different bytes in one of its files. */
function withFile(snapshot: StoredSnapshot, file: string, bytes: Uint8Array): StoredSnapshot {
  return {
    location: snapshot.location,
    name: snapshot.name,
    read: async (name, maxBytes) => (name === file ? bytes : snapshot.read(name, maxBytes)),
    size: async (name) => (name === file ? bytes.length : snapshot.size(name)),
    facts: async (name) => snapshot.facts(name),
    async *stream(name) {
      if (name === file) yield bytes;
      else yield* snapshot.stream(name);
    },
  };
}

async function countEntries(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
): Promise<number> {
  let count = 0;
  for await (const _ of readEntries(snapshot, manifest, codec)) count += 1;
  return count;
}
