import { readFileSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openExportDirectory } from '../../../src/formats/export-directory/open.ts';
import { findStateSync } from '../../../src/formats/state-sync/find.ts';
import { openStateSync } from '../../../src/formats/state-sync/open.ts';
import { computeAppHash } from '../../../src/formats/state-sync/proof/app-hash.ts';
import { IavlHasher } from '../../../src/formats/state-sync/proof/iavl.ts';
import { copyVerified } from '../../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../../src/swing-store-export/null-sink.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import {
  artifactPayload,
  cut,
  extensionItem,
  insert,
  nodeItem,
  payloadItem,
  rootOf,
  storeItem,
  streamOf,
  uvarint,
  wireNodes,
  writeArchive,
  writeChunks,
  type TreeNode,
  type WireNode,
} from '../../fixtures/state-sync/make-snapshot.ts';

const fixtures = fileURLToPath(new URL('../../fixtures/state-sync/', import.meta.url));
const fixture = (...names: string[]): string => path.join(fixtures, ...names);
const json = (...names: string[]): unknown => JSON.parse(readFileSync(fixture(...names), 'utf8'));

interface Expected {
  readonly height: number;
  readonly appHash: string;
  readonly stores: Readonly<Record<string, { readonly root: string }>>;
}

const tempDir = useTempDir();

async function verify(
  source: string,
  appHash?: string,
  { memStores, notes = [] }: { memStores?: readonly string[]; notes?: string[] } = {},
) {
  const found = findStateSync(source);
  if (found === undefined) throw new Error(`nothing at ${source}`);
  const note = (message: string): void => void notes.push(message);
  const opened = openStateSync(found, { appHash, memStores, scratchDir: await tempDir(), note });
  try {
    const { summary } = await copyVerified(opened, async () => nullSink());
    return { summary, proof: opened.proof, height: opened.height };
  } finally {
    await opened.close();
  }
}

describe('known answers', () => {
  it('root hashes of trees equal the published ones', async () => {
    const { snapshots } = json('vectors', 'treehash.json') as {
      snapshots: {
        chunkDir: string;
        leaves: number;
        nodes: number;
        appHashOfThisSingleStore: string;
      }[];
    };
    for (const { chunkDir, appHashOfThisSingleStore } of snapshots) {
      const found = findStateSync(fixture('vectors', chunkDir))!;
      const options = {
        appHash: appHashOfThisSingleStore,
        scratchDir: await tempDir(),
        note: () => undefined,
      };
      const opened = openStateSync(found, options);
      for await (const _ of opened.exportData());
      expect(opened.proof).toMatchObject({ isProved: true, memStores: [] });
      await opened.close();
    }
  });

  it('hashes of small nodes and trees equal those of the vectors', () => {
    const { exportTreeBasic, leafEmptyValue, emptyTreeRoot } = json('vectors', 'small.json') as {
      exportTreeBasic: { nodesV3: VectorNode[]; rootV3: string };
      leafEmptyValue: VectorNode;
      emptyTreeRoot: string;
    };
    const rootFrom = (nodes: readonly VectorNode[]): string => {
      const tree = new IavlHasher('a test', 1000);
      for (const { key, value, version, height } of nodes) {
        tree.add({
          key: Buffer.from(key, 'hex'),
          value: Buffer.from(value ?? '', 'hex'),
          version,
          height,
        });
      }
      return tree.finish().toString('hex');
    };
    expect(rootFrom(exportTreeBasic.nodesV3)).toBe(exportTreeBasic.rootV3);
    expect(rootFrom([leafEmptyValue])).toBe(leafEmptyValue.hash);
    expect(rootFrom([])).toBe(emptyTreeRoot);
  });

  it('AppHashes of store maps equal those of the vectors, in any order of the stores', () => {
    const { cases } = json('vectors', 'merkle_map.json') as {
      cases: { keys: string[]; values: string[]; hash: string }[];
    };
    for (const { keys, values, hash } of cases) {
      const stores = keys.map((name, i) => ({ name, root: Buffer.from(values[i]!) }));
      expect(computeAppHash(stores)).toBe(hash);
      expect(computeAppHash(stores.toReversed())).toBe(hash);
    }
  });
});

interface VectorNode {
  readonly key: string;
  readonly value: string | null;
  readonly version: number;
  readonly height: number;
  readonly hash: string;
}

describe('the fixtures', () => {
  it.each([
    ['format3', ['data', 'snapshots', '1000', '3']],
    ['format3', ['data', 'snapshots', '1000']],
    ['format3', ['data', 'snapshots']],
    ['format3', ['1000-3.tar.gz']],
    ['format2-memstore-trailing', ['data', 'snapshots']],
    ['format2-memstore-trailing', ['12345678-2.tar.gz']],
  ])('%s, %j, is proved by its AppHash and has the content of the export', async (name, where) => {
    const { appHash, height } = json(name, 'expected.json') as Expected;
    const notes: string[] = [];
    const { summary, proof, ...found } = await verify(fixture(name, ...where), appHash, { notes });
    expect(found.height).toBe(height);
    const hasMemStore = name !== 'format3';
    expect(proof).toEqual({
      appHash: appHash.toUpperCase(),
      memStores: hasMemStore ? ['mem_capability'] : [],
      isProved: true,
    });
    const directory = await openExportDirectory(fixture('export'));
    const original = await copyVerified(directory, async () => nullSink(), {
      scratchDir: await tempDir(),
    });
    expect(summary.hashes?.exportDataHash).toBe(original.summary.hashes?.exportDataHash);
    expect(summary.artifacts).toEqual(original.summary.artifacts);
    expect(notes.some((note) => note.includes('UNTRUSTED-EXPORT-DATA'))).toBe(hasMemStore);
    // No store lists the byte codes that must be present.
    expect(notes.some((note) => note.includes('2 byte codes'))).toBe(!hasMemStore);
  });

  it('bad-value has another AppHash, and none of its export data is delivered', async () => {
    const { appHash } = json('bad-value', 'expected.json') as Expected;
    const found = findStateSync(fixture('bad-value', '1000-3.tar.gz'))!;
    const opened = openStateSync(found, {
      appHash,
      scratchDir: await tempDir(),
      note: () => undefined,
    });
    const blocks: Uint8Array[] = [];
    const read = async (): Promise<void> => {
      for await (const block of opened.exportData()) blocks.push(block);
    };
    await expect(read()).rejects.toMatchObject({ code: 'APP_HASH', exitCode: 3 });
    expect(blocks).toEqual([]);
    await opened.close();
  });

  it('prove nothing without an AppHash, and a note names the query that returns it', async () => {
    const notes: string[] = [];
    const { appHash } = json('format3', 'expected.json') as Expected;
    const { proof } = await verify(fixture('format3', '1000-3.tar.gz'), undefined, { notes });
    expect(proof).toEqual({ appHash: appHash.toUpperCase(), memStores: [], isProved: false });
    expect(notes.join('\n')).toContain('nothing was proved');
    expect(notes.join('\n')).toContain('/commit?height=1001');
  });
});

/** A chain with trees of several versions, and without a SwingStore. */
const HEIGHT = 900;
function grow(count: number, seed: number): TreeNode | undefined {
  let tree: TreeNode | undefined;
  for (let i = 0; i < count; i += 1) {
    // Some keys occur more than once.
    const key = Buffer.from(`k${((i + seed) * 7919) % Math.ceil(count * 0.9)}`);
    tree = insert(tree, key, Buffer.from(`value ${i}`), 1 + Math.floor((i * 899) / count));
  }
  return tree;
}

const trees: readonly (readonly [string, TreeNode | undefined])[] = [
  ['acc', grow(300, 1)],
  ['bank', grow(1, 2)],
  ['gov', undefined],
  ['ibc', grow(1000, 3)],
];
const appHash = computeAppHash(trees.map(([name, tree]) => ({ name, root: rootOf(tree) })));

interface Stream {
  /** By store. */
  nodes: Map<string, WireNode[]>;
  extras: Buffer[];
}

const honest = (): Stream => ({
  nodes: new Map(trees.map(([name, tree]) => [name, wireNodes(tree)])),
  extras: [extensionItem('swingset', 1)],
});
const itemsOf = ({ nodes, extras }: Stream): Buffer[] => [
  ...[...nodes].flatMap(([name, list]) => [storeItem(name), ...list.map(nodeItem)]),
  ...extras,
];

describe('a generated snapshot', () => {
  it.each([1, 7, 100, 4096, 10_000_000])(
    'is proved with chunks of %i bytes',
    async (chunkBytes) => {
      const dir = await tempDir();
      // Chunks of one byte would make too many files.
      const stream = chunkBytes === 1 ? streamOf([]) : streamOf(itemsOf(honest()));
      const hash = chunkBytes === 1 ? computeAppHash([]) : appHash;
      const chunks = await writeChunks(dir, HEIGHT, 3, cut(stream, chunkBytes));
      expect((await verify(chunks, hash)).proof?.isProved).toBe(true);
      const archive = await writeArchive(dir, HEIGHT, 3, cut(stream, Math.max(chunkBytes, 1000)));
      expect((await verify(archive, hash)).proof?.isProved).toBe(true);
    },
  );

  it('is proved despite the bytes that writers leave after the stream, even across two chunks', async () => {
    for (const trailing of ['0badcafe', '010000ffff0badcafe']) {
      const stream = streamOf(itemsOf(honest()), Buffer.from(trailing, 'hex'));
      const dir = await writeChunks(await tempDir(), HEIGHT, 1, [
        stream.subarray(0, -3),
        stream.subarray(-3),
      ]);
      expect((await verify(dir, appHash)).proof?.isProved).toBe(true);
    }
  });

  it('is proved if its memory store is named, and refused if it is not', async () => {
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [streamOf(itemsOf(honest()))]);
    const stores = trees.map(([name, tree]) => ({ name, root: rootOf(tree) }));
    const withMem = computeAppHash(stores, ['memo']);
    await expect(verify(dir, withMem)).rejects.toMatchObject({ code: 'APP_HASH' });
    const { proof } = await verify(dir, withMem, { memStores: ['memo'] });
    expect(proof).toMatchObject({ isProved: true, memStores: ['memo'] });
    // An empty IAVL store is not an empty memory store.
    await expect(
      verify(
        dir,
        computeAppHash(
          stores.filter(({ name }) => name !== 'gov'),
          ['gov'],
        ),
      ),
    ).rejects.toThrow();
  });

  it('is chosen if it has the newest of several heights and formats', async () => {
    const home = await tempDir();
    await writeChunks(home, 9, 3, [streamOf([])]);
    await writeChunks(home, HEIGHT, 2, [streamOf([])]);
    await writeChunks(home, HEIGHT, 3, [streamOf([])]);
    await mkdir(path.join(home, 'data', 'snapshots', '1000000', '3'), { recursive: true });
    const found = findStateSync(path.join(home, 'data', 'snapshots'));
    expect(found).toMatchObject({ height: HEIGHT, format: 3, kind: 'chunks' });
    expect(findStateSync(home)).toBeUndefined();
    expect(findStateSync(path.join(home, 'nothing'))).toBeUndefined();
  });
});

const edit = (store: string, change: (nodes: WireNode[]) => WireNode[]) => (stream: Stream) => {
  stream.nodes.set(store, change(stream.nodes.get(store)!));
};
const change = (pick: (node: WireNode) => boolean, changed: (node: WireNode) => WireNode) =>
  edit('ibc', (nodes) => {
    const at = nodes.findIndex((node, i) => i > 500 && pick(node));
    return nodes.with(at, changed(nodes[at]!));
  });
const isLeaf = ({ height }: WireNode): boolean => height === 0;
const isInner = ({ height }: WireNode): boolean => height > 0;

describe('a tampered snapshot is refused with', () => {
  it.each<[string, (stream: Stream) => void, string]>([
    [
      'a changed value',
      change(isLeaf, (node) => ({ ...node, value: Buffer.from('x') })),
      'APP_HASH',
    ],
    [
      'an emptied value',
      change(isLeaf, (node) => ({ ...node, value: Buffer.alloc(0) })),
      'APP_HASH',
    ],
    [
      'a changed version of a leaf',
      change(isLeaf, (node) => ({ ...node, version: 1 })),
      'APP_HASH',
    ],
    [
      'a changed key of a leaf, still in order',
      change(isLeaf, (node) => ({ ...node, key: Buffer.concat([node.key, Buffer.of(0)]) })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a leaf that claims to be an inner node',
      change(isLeaf, (node) => ({ ...node, height: 1 })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an inner node that claims to be a leaf',
      change(isInner, (node) => ({ ...node, height: 0 })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a renamed store',
      ({ nodes }) => {
        const [acc, ...others] = [...nodes];
        nodes.clear();
        for (const [name, list] of [['acd', acc![1]] as const, ...others]) nodes.set(name, list);
      },
      'APP_HASH',
    ],
    [
      'a store without a name',
      ({ extras }) => void extras.splice(0, 1, Buffer.from('0a00', 'hex')),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an extension without a name',
      ({ extras }) => void extras.splice(0, 1, Buffer.from('1a021001', 'hex')),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a version above the height',
      change(isLeaf, (node) => ({ ...node, version: HEIGHT + 1 })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a version of zero',
      change(isLeaf, (node) => ({ ...node, version: 0 })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a changed version of an inner node',
      change(isInner, (node) => ({ ...node, version: HEIGHT })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a changed height',
      change(isInner, (node) => ({ ...node, height: node.height + 1 })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'another key of an inner node, which no hash covers',
      change(isInner, (node) => ({ ...node, key: Buffer.from('k') })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an inner node without a key',
      change(isInner, (node) => ({ ...node, key: Buffer.alloc(0) })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a value in an inner node',
      change(isInner, (node) => ({ ...node, value: Buffer.from('v') })),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a dropped leaf',
      edit('ibc', (nodes) => nodes.toSpliced(nodes.findIndex(isLeaf), 1)),
      'STATE_SYNC_DAMAGED',
    ],
    ['a dropped root', edit('ibc', (nodes) => nodes.slice(0, -1)), 'STATE_SYNC_DAMAGED'],
    ['swapped leaves', edit('ibc', ([a, b, ...rest]) => [b!, a!, ...rest]), 'STATE_SYNC_DAMAGED'],
    ['a dropped tree', edit('acc', () => []), 'APP_HASH'],
    ['a dropped store', ({ nodes }) => void nodes.delete('gov'), 'APP_HASH'],
    ['an added store', ({ nodes }) => void nodes.set('more', []), 'APP_HASH'],
    ['stores out of order', ({ nodes }) => void nodes.set('aaa', []), 'STATE_SYNC_DAMAGED'],
    [
      'a store after the extensions',
      ({ extras }) => void extras.push(storeItem('z')),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'a payload before any extension',
      ({ extras }) => void extras.unshift(payloadItem(Buffer.from('x'))),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an extension that appears twice',
      ({ extras }) => void extras.push(extensionItem('swingset', 1)),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an unknown format of the extension',
      ({ extras }) =>
        void extras.splice(
          0,
          1,
          extensionItem('swingset', 2),
          payloadItem(artifactPayload('a', Buffer.from('b'))),
        ),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an artifact that no record names',
      ({ extras }) =>
        void extras.push(payloadItem(artifactPayload('bundle.b0-1', Buffer.from('b')))),
      'ARTIFACT_NAME',
    ],
    [
      'a payload that is not an artifact',
      ({ extras }) => void extras.push(payloadItem(Buffer.from('what'))),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an empty payload',
      ({ extras }) => void extras.push(payloadItem(Buffer.alloc(0))),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an item of an unknown kind',
      ({ extras }) => void extras.push(Buffer.from('2a00', 'hex')),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an explicit zero',
      ({ extras }) => void extras.push(Buffer.from('1204180120' + '00', 'hex')),
      'STATE_SYNC_DAMAGED',
    ],
    [
      'an item with a byte after it',
      ({ extras }) => void extras.push(Buffer.concat([storeItem('zz'), Buffer.of(0)])),
      'STATE_SYNC_DAMAGED',
    ],
  ])('%s', async (_, tamper, code) => {
    const stream = honest();
    tamper(stream);
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, cut(streamOf(itemsOf(stream)), 1000));
    await expect(verify(dir, appHash)).rejects.toMatchObject({ exitCode: 3 });
    if (code !== 'ARTIFACT_NAME')
      await expect(verify(dir, appHash)).rejects.toMatchObject({ code });
  });

  it('impossible lengths, without allocating memory for them', async () => {
    for (const length of [2n ** 63n, 2n ** 60n, 2n ** 40n, 999_999_999n, 5n]) {
      for (const head of ['0a', '12', '1a', '22']) {
        const items = Buffer.concat([
          uvarint(length),
          Buffer.from(head, 'hex'),
          uvarint(length),
          Buffer.from('0a01'),
        ]);
        const { deflateSync } = await import('node:zlib');
        const dir = await writeChunks(await tempDir(), HEIGHT, 3, [deflateSync(items)]);
        const before = process.memoryUsage().rss;
        await expect(verify(dir, appHash)).rejects.toMatchObject({ code: 'STATE_SYNC_DAMAGED' });
        expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
      }
    }
  });

  it('a missing chunk, a truncated chunk, or a flipped bit', async () => {
    const chunks = cut(streamOf(itemsOf(honest())), 1000);
    const fresh = async (): Promise<string> => writeChunks(await tempDir(), HEIGHT, 3, chunks);
    const refused = async (dir: string): Promise<void> => {
      await expect(verify(dir, appHash)).rejects.toMatchObject({ code: 'STATE_SYNC_DAMAGED' });
    };
    const middle = await fresh();
    await rm(path.join(middle, '2'));
    await refused(middle);
    const first = await fresh();
    await rm(path.join(first, '0'));
    await refused(first);
    const last = await fresh();
    await rm(path.join(last, String(chunks.length - 1)));
    await refused(last);
    const short = await fresh();
    await writeFile(path.join(short, String(chunks.length - 1)), chunks.at(-1)!.subarray(0, -1));
    await refused(short);
    const flipped = await fresh();
    const bytes = Buffer.from(chunks[3]!);
    bytes[500]! ^= 4;
    await writeFile(path.join(flipped, '3'), bytes);
    await expect(verify(flipped, appHash)).rejects.toMatchObject({ exitCode: 3 });
  });

  it('a truncated archive; but not an archive under another name, which says its height itself', async () => {
    const dir = await tempDir();
    const file = await writeArchive(dir, HEIGHT, 3, cut(streamOf(itemsOf(honest())), 1000));
    const renamed = path.join(dir, '901-3.tar.gz');
    await cp(file, renamed);
    expect(findStateSync(renamed)).toMatchObject({ height: HEIGHT, format: 3 });
    const cutFile = path.join(await tempDir(), path.basename(file));
    const whole = await readFile(file);
    await writeFile(cutFile, whole.subarray(0, whole.length - 600));
    await expect(verify(cutFile, appHash)).rejects.toMatchObject({ code: 'STATE_SYNC_DAMAGED' });
    await rename(file, path.join(dir, 'other.tar.gz'));
    expect(findStateSync(path.join(dir, 'other.tar.gz'))).toMatchObject({ height: HEIGHT });
  });
});
