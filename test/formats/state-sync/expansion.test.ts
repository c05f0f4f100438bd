/** Snapshots that are small, but would take much time or memory to read. */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { findStateSync } from '../../../src/formats/state-sync/find.ts';
import { openStateSync } from '../../../src/formats/state-sync/open.ts';
import { computeAppHash } from '../../../src/formats/state-sync/proof/app-hash.ts';
import { ItemReader } from '../../../src/formats/state-sync/stream/items.ts';
import { copyVerified } from '../../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../../src/swing-store-export/null-sink.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import {
  bytesField,
  extensionItem,
  insert,
  nodeItem,
  payloadItem,
  rootOf,
  sized,
  storeItem,
  streamOf,
  wireNodes,
  writeArchive,
  writeChunks,
  type TreeNode,
} from '../../fixtures/state-sync/make-snapshot.ts';

const HEIGHT = 900;
const MB = 1_000_000;
const tempDir = useTempDir();
const damaged = { code: 'STATE_SYNC_DAMAGED', exitCode: 3 };

async function verify(source: string, appHash?: string) {
  const found = findStateSync(source);
  if (found === undefined) throw new Error(`nothing at ${source}`);
  const scratchDir = await tempDir();
  const opened = openStateSync(found, { appHash, scratchDir, note: () => undefined });
  try {
    const { summary } = await copyVerified(opened, async () => nullSink(), { scratchDir });
    return { summary, proof: opened.proof, codes: opened.codes };
  } finally {
    await opened.close();
    expect(await readdir(scratchDir)).toEqual([]);
  }
}

/** Bytes that compress, and are quick to make in any size. */
function bytesOf(size: number): Buffer {
  const block = createHash('sha512').update('a block').digest('hex');
  return Buffer.alloc(size, block);
}

/** A tree with these leaves. */
function treeOf(leaves: readonly (readonly [key: string, value: Buffer])[]): TreeNode {
  let tree: TreeNode | undefined;
  for (const [key, value] of leaves) tree = insert(tree, Buffer.from(key), value, 3);
  return tree!;
}

const itemsOf = (name: string, tree: TreeNode): Buffer[] => [
  storeItem(name),
  ...wireNodes(tree).map(nodeItem),
];

describe('a leaf that is too large for memory', () => {
  const tree = treeOf([
    ['a', Buffer.from('small')],
    ['b', bytesOf(5 * MB)],
    ['c', bytesOf(3 * MB)],
    ['d', Buffer.from('small')],
  ]);
  const swingset = treeOf([
    ['swingStore.kv.a', Buffer.from('1')],
    ['swingStore.kv.b', bytesOf(3 * MB)],
    ['swingStore.kv.c', Buffer.from('2')],
  ]);
  const items = [...itemsOf('bank', tree), ...itemsOf('swingset', swingset)];
  const appHash = computeAppHash([
    { name: 'bank', root: rootOf(tree) },
    { name: 'swingset', root: rootOf(swingset) },
  ]);

  it('is hashed piece by piece and proved like any other leaf, and is read if it is export data', async () => {
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [streamOf(items)]);
    const { summary, proof } = await verify(dir, appHash);
    expect(proof).toMatchObject({ isProved: true });
    const text = [
      ['kv.a', '1'],
      ['kv.b', bytesOf(3 * MB).toString()],
      ['kv.c', '2'],
    ].map((entry) => `${JSON.stringify(entry)}\n`);
    const hash = createHash('sha256').update(text.join('')).digest('hex');
    expect(summary.hashes?.exportDataHash).toBe(hash);
  });

  it('is copied byte for byte', async () => {
    const pieces: Buffer[] = [];
    const reader = new ItemReader([streamOf(items)] as never, 'a test', {
      copy: async (bytes) => void pieces.push(Buffer.from(bytes)),
    });
    for (let item = await reader.next(() => undefined); item !== undefined;) {
      item = await reader.next(() => undefined);
    }
    await reader.close();
    expect(Buffer.concat(pieces).equals(Buffer.concat(items.map(sized)))).toBe(true);
  });

  it('is refused if one of its bytes is changed, or if it is export data too large for a node', async () => {
    const value = bytesOf(5 * MB);
    value.writeUInt8(0, 4 * MB);
    const other = treeOf([['b', value]]);
    const root = rootOf(treeOf([['b', bytesOf(5 * MB)]]));
    const hash = computeAppHash([{ name: 'bank', root }]);
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [streamOf(itemsOf('bank', other))]);
    await expect(verify(dir, hash)).rejects.toMatchObject({ code: 'APP_HASH' });
    const large = treeOf([['swingStore.kv.a', Buffer.alloc(33 * MB, 'a')]]);
    const tooLarge = streamOf(itemsOf('swingset', large));
    const second = await writeChunks(await tempDir(), HEIGHT, 3, [tooLarge]);
    await expect(verify(second)).rejects.toMatchObject({ ...damaged, found: '33000000 bytes' });
    const escaped = treeOf([['swingStore.kv.a', Buffer.alloc(11 * MB, 1)]]);
    const tooLong = streamOf(itemsOf('swingset', escaped));
    const third = await writeChunks(await tempDir(), HEIGHT, 3, [tooLong]);
    await expect(verify(third)).rejects.toMatchObject({ ...damaged, found: 66 * MB + 11 });
  });

  it.each([
    ['with a second value', Buffer.concat([bytesField(2, Buffer.from('x')), Buffer.of(0x18, 1)])],
    ['that is an inner node', Buffer.of(0x18, 1, 0x20, 1)],
    ['with its version twice', Buffer.of(0x18, 1, 0x18, 1)],
    ['without a version', Buffer.alloc(0)],
    [
      'with more bytes after it',
      Buffer.concat([Buffer.of(0x18, 1), bytesField(5, Buffer.alloc(100))]),
    ],
  ])('%s is refused', async (_, rest) => {
    const node = [bytesField(1, Buffer.from('a')), bytesField(2, Buffer.alloc(3 * MB)), rest];
    const stream = streamOf([storeItem('a'), bytesField(2, Buffer.concat(node))]);
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [stream]);
    await expect(verify(dir)).rejects.toMatchObject(damaged);
  });

  it('is refused before it is read if its key is that large, with or without a value', async () => {
    const key = bytesField(1, Buffer.alloc(3 * MB, 1));
    for (const node of [key, Buffer.concat([key, bytesField(2, Buffer.alloc(MB))])]) {
      const stream = streamOf([storeItem('a'), bytesField(2, node)]);
      const dir = await writeChunks(await tempDir(), HEIGHT, 3, [stream]);
      await expect(verify(dir)).rejects.toMatchObject({ ...damaged, found: 3 * MB });
    }
  });
});

describe('input that expands further than any chain', () => {
  const refused = { ...damaged, expected: expect.stringContaining('compressed ones') as string };

  it('is refused as a leaf of zeros in an archive of a few kilobytes', async () => {
    const leaf = nodeItem({
      key: Buffer.from('a'),
      value: Buffer.alloc(320 * MB),
      version: 1,
      height: 0,
    });
    const stream = deflateSync(Buffer.concat([sized(storeItem('a')), sized(leaf)]), { level: 9 });
    const archive = await writeArchive(await tempDir(), HEIGHT, 3, [stream]);
    await expect(verify(archive)).rejects.toMatchObject(refused);
  });

  it('is refused as an archive whose chunks expand', async () => {
    const archive = await writeArchive(await tempDir(), HEIGHT, 3, [
      Buffer.concat([streamOf([storeItem('a')]), Buffer.alloc(20 * MB)]),
    ]);
    await expect(verify(archive)).rejects.toMatchObject(refused);
  });

  it('is refused as many byte codes, although none of them is too large', async () => {
    const code = payloadItem(gzipSync(Buffer.alloc(60 * MB), { level: 1 }));
    const stream = streamOf([extensionItem('wasm', 1), ...Array.from({ length: 12 }, () => code)]);
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [stream]);
    await expect(verify(dir)).rejects.toMatchObject(refused);
  });

  it('is refused as many empty byte codes, which take more time than their size suggests', async () => {
    const code = sized(payloadItem(gzipSync('')));
    const codes = Buffer.concat(Array<Buffer>(20_000).fill(code));
    const stream = deflateSync(Buffer.concat([sized(extensionItem('wasm', 1)), codes]));
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [stream]);
    await expect(verify(dir)).rejects.toMatchObject(refused);
  });

  it('is refused as the name of a store', async () => {
    const stream = streamOf([storeItem('a'.repeat(100 * MB))]);
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [stream]);
    await expect(verify(dir)).rejects.toMatchObject({
      ...damaged,
      message: 'an item is too large',
    });
  });
});

describe('a snapshot that compresses well', () => {
  it('is read if it is not large', async () => {
    const zeros = treeOf([['a', Buffer.alloc(100 * MB)]]);
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [streamOf(itemsOf('bank', zeros))]);
    expect((await verify(dir)).proof?.isProved).toBe(false);
  });
});
