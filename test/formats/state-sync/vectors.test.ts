/** Vectors that other projects published, or that derive from such vectors: see PROVENANCE.md next to them. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findStateSync } from '../../../src/formats/state-sync/find.ts';
import { openStateSync } from '../../../src/formats/state-sync/open.ts';
import { computeAppHash, merkleRoot } from '../../../src/formats/state-sync/proof/app-hash.ts';
import { nodesIn } from '../../../src/formats/state-sync/proof/hash-nodes.ts';
import { IavlHasher, type Subtree } from '../../../src/formats/state-sync/proof/iavl.ts';
import { decodeItem } from '../../../src/formats/state-sync/stream/decode-item.ts';
import {
  artifactHead,
  extensionItem,
  payloadHead,
} from '../../../src/formats/state-sync/stream/encode-item.ts';
import { encodeDescription } from '../../../src/formats/state-sync/write/write-archive.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import {
  cut,
  insert,
  nodeItem,
  remove,
  rootOf,
  sized,
  storeItem,
  wireNodes,
  writeChunks,
  type TreeNode,
} from '../../fixtures/state-sync/make-snapshot.ts';

const vectors = new URL('../../fixtures/state-sync/vectors/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, vectors), 'utf8'));
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest();
const tempDir = useTempDir();

interface ProofStep {
  readonly height: number;
  readonly size: number;
  readonly version: number;
  readonly siblingSide: 'left' | 'right';
  readonly sibling: string;
}
interface Proof {
  readonly file: string;
  readonly root: string;
  readonly key: string;
  readonly value: string;
  readonly leafVersion: number;
  readonly path: readonly ProofStep[];
}

interface VectorNode {
  readonly key: string;
  readonly value: string | null;
  readonly version: number;
  readonly height: number;
  readonly hash: string;
  readonly snapshotItemHex: string;
}

const small = read('small.json') as {
  readonly exportTreeBasic: {
    readonly rootV1: string;
    readonly rootV2: string;
    readonly rootV3: string;
    readonly nodesV3: readonly VectorNode[];
  };
  readonly leafEmptyValue: VectorNode;
  readonly leafLong: VectorNode;
  readonly items: Readonly<Record<string, string>>;
  readonly snapshotMeta: {
    readonly height: number;
    readonly format: number;
    readonly chunksHex: readonly string[];
    readonly protobuf: string;
  };
  readonly appHash: {
    readonly stores: Readonly<Record<string, string>>;
    readonly hash: string;
    readonly withMemCapability: string;
    readonly withEmptyIavlStoreAuthz: string;
  };
};

describe('IAVL', () => {
  const { cases } = read('ics23_iavl.json') as { cases: readonly Proof[] };
  it.each(cases)('computes the root of $file', ({ root, key, value, leafVersion, path }) => {
    const leaf = new IavlHasher('a test', 1_000_000, 0);
    const node = { key: hex(key), value: hex(value), version: leafVersion, height: 0 };
    leaf.add(node);
    let [own] = leaf.part().rest as [Subtree];
    for (const { height, size, version, siblingSide, sibling } of path) {
      // A proof leaves some facts about a sibling open: they get the values that they must have.
      const other: Subtree = {
        hash: hex(sibling).toString('latin1'),
        height: height - 1,
        size: size - own.size,
        version: 1,
        smallestKey: siblingSide === 'left' ? '' : '\u00ff',
      };
      const sides = siblingSide === 'left' ? [other, own] : [own, other];
      const step = new IavlHasher('a test', 1_000_000, 0);
      step.addPart({ rest: sides, firstKey: undefined, lastKey: '', leaves: 0, nodes: 0 });
      const inner = { key: sides[1]!.smallestKey, version, height, number: 1 };
      step.addPart({ rest: [inner], firstKey: undefined, lastKey: '', leaves: 0, nodes: 1 });
      [own] = step.part().rest as [Subtree];
    }
    expect(Buffer.from(own.hash, 'latin1').toString('hex')).toBe(root);
  });

  it('encodes items and hashes nodes as in the vectors', () => {
    const { exportTreeBasic, leafEmptyValue, leafLong } = small;
    const items = [...exportTreeBasic.nodesV3, leafEmptyValue, leafLong];
    for (const { key, value, version, height, snapshotItemHex } of items) {
      const node = { key: hex(key), value: hex(value ?? ''), version, height };
      const message = nodeItem(node);
      expect(message.toString('hex')).toBe(snapshotItemHex);
      const [found, ...more] = nodesIn(sized(message), 'a test');
      expect(more).toEqual([]);
      expect({ ...found, value: Buffer.from(found!.value) }).toEqual({
        ...node,
        key: node.key.toString('latin1'),
      });
    }
    for (const { key, value, version, height, hash } of [leafEmptyValue, leafLong]) {
      const tree = new IavlHasher('a test', Number.MAX_SAFE_INTEGER);
      tree.add({ key: hex(key), value: hex(value ?? ''), version, height });
      expect(tree.finish().toString('hex')).toBe(hash);
    }
  });

  it('has the roots of the vectors for a tree that grows and shrinks in the generator of the tests', () => {
    const { rootV1, rootV2, rootV3, nodesV3 } = small.exportTreeBasic;
    let tree: TreeNode | undefined;
    const set = (version: number, entries: Readonly<Record<string, number>>): void => {
      for (const [key, value] of Object.entries(entries)) {
        tree = insert(tree, Buffer.from(key), Buffer.of(value), version);
      }
    };
    const drop = (version: number, ...keys: readonly string[]): void => {
      for (const key of keys) tree = remove(tree!, Buffer.from(key), version);
    };
    set(1, { x: 255, z: 255, a: 1, b: 2, c: 3 });
    expect(rootOf(tree).toString('hex')).toBe(rootV1);
    drop(2, 'x', 'b');
    set(2, { c: 255, d: 4 });
    expect(rootOf(tree).toString('hex')).toBe(rootV2);
    set(3, { b: 2, c: 3, e: 5, abc: 6 });
    drop(3, 'z');
    expect(rootOf(tree).toString('hex')).toBe(rootV3);
    expect(wireNodes(tree).map((node) => nodeItem(node).toString('hex'))).toEqual(
      nodesV3.map(({ snapshotItemHex }) => snapshotItemHex),
    );
  });
});

describe('the AppHash', () => {
  it('uses the trees of RFC 6962', () => {
    const { trees, inner } = read('rfc6962.json') as {
      trees: readonly { leavesHex: readonly string[]; root: string }[];
      inner: { left: string; right: string; hash: string };
    };
    for (const { leavesHex, root } of trees) {
      expect(merkleRoot(leavesHex.map(hex)).toString('hex')).toBe(root);
    }
    expect(sha256(Buffer.of(1), hex(inner.left), hex(inner.right)).toString('hex')).toBe(
      inner.hash,
    );
    const [left, right] = [Buffer.from('a'), Buffer.from('b')];
    expect(merkleRoot([left, right])).toEqual(
      sha256(Buffer.of(1), merkleRoot([left]), merkleRoot([right])),
    );
  });

  const { cases } = read('ics23_tendermint.json') as { cases: readonly Proof[] };
  it.each(cases)('computes the leaf of $file', ({ root, key, value, path }) => {
    // The value is hashed like the root hash of a store.
    let hash = hex(computeAppHash([{ name: hex(key).toString(), root: hex(value) }]));
    for (const { siblingSide, sibling } of path) {
      const sides = siblingSide === 'left' ? [hex(sibling), hash] : [hash, hex(sibling)];
      hash = sha256(Buffer.of(1), ...sides);
    }
    expect(hash.toString('hex')).toBe(root);
  });

  it('counts a memory store differently from an empty IAVL store', () => {
    const { stores, hash, withMemCapability, withEmptyIavlStoreAuthz } = small.appHash;
    const roots = Object.entries(stores).map(([name, root]) => ({ name, root: hex(root) }));
    expect(computeAppHash(roots)).toBe(hash);
    expect(computeAppHash(roots, ['mem_capability'])).toBe(withMemCapability);
    const authz = { name: 'authz', root: new IavlHasher('a test', 1).finish() };
    expect(computeAppHash([...roots, authz])).toBe(withEmptyIavlStoreAuthz);
  });
});

describe('messages', () => {
  it('other than nodes are encoded and decoded as in the vectors', () => {
    const { items } = small;
    const item = (name: string): Buffer => hex(items[name]!);
    expect(decodeItem(item('store bank'), 'a test')).toEqual({ kind: 'store', name: 'bank' });
    expect(decodeItem(item('extension swingset format 1'), 'a test')).toEqual({
      kind: 'extension',
      name: 'swingset',
      format: 1,
    });
    expect(extensionItem('swingset', 1)).toEqual(sized(item('extension swingset format 1')));
    expect(payloadHead(0)).toEqual(sized(item('empty payload')));
    expect(Buffer.concat([artifactHead('a', 3), Buffer.of(1, 2, 3)])).toEqual(
      sized(item('payload SwingStoreArtifact{name:a,data:010203}')),
    );
    expect(artifactHead('a', 0)).toEqual(
      sized(item('payload SwingStoreArtifact{name:a,data:<empty>}')),
    );
  });

  it('that describe an archive are encoded as in the vectors', () => {
    const { height, format, chunksHex, protobuf } = small.snapshotMeta;
    const chunks = chunksHex.map(hex);
    const hashes = chunks.map((chunk) => sha256(chunk));
    const hash = sha256(...chunks);
    expect(encodeDescription({ height, format, hashes, hash }).toString('hex')).toBe(protobuf);
  });
});

/** Go generates the values and deflates them in the way that the published hashes require. */
const goes = spawnSync('go', ['version']).status === 0;

describe.skipIf(!goes)('the multistore of the Cosmos SDK that Go makes', () => {
  const go = (args: readonly string[], input = Buffer.alloc(0)): Buffer => {
    const program = fileURLToPath(
      new URL('../../fixtures/state-sync/go-checksum.go', import.meta.url),
    );
    const options = { input, maxBuffer: 100_000_000, env: { ...process.env, GOFLAGS: '' } };
    const { status, stdout, stderr } = spawnSync('go', ['run', program, ...args], options);
    if (status !== 0) throw new Error(stderr.toString());
    return stdout;
  };

  it('is cut, hashed and proved as published, with each stream end that writers have used', async () => {
    const known = read('multistore_checksum.json') as {
      uncompressedStreamSha256: string;
      chunkHashes: readonly string[];
      lastChunkHashDoubleCloseGo119: string;
      lastChunkHashDoubleCloseGo118: string;
      derivedRoots: Readonly<Record<string, string>>;
      derivedAppHash: string;
    };
    const values = go([]);
    const items: Buffer[] = [];
    for (const [s, [name, root]] of Object.entries(known.derivedRoots).entries()) {
      let tree: TreeNode | undefined;
      for (let i = 0; i < 10_000; i += 1) {
        const key = Buffer.alloc(8);
        key.writeBigUInt64BE(BigInt(i));
        const at = (s * 10_000 + i) * 1024;
        tree = insert(tree, key, values.subarray(at, at + 1024), 1);
      }
      expect(rootOf(tree).toString('hex')).toBe(root);
      items.push(storeItem(name), ...wireNodes(tree).map(nodeItem));
    }
    const raw = Buffer.concat(items.map(sized));
    expect(sha256(raw).toString('hex')).toBe(known.uncompressedStreamSha256);
    const deflated = go(['7'], raw);
    const adler = deflated.subarray(-4);
    for (const [behind, last] of [
      [Buffer.alloc(0), known.chunkHashes.at(-1)],
      [adler, known.lastChunkHashDoubleCloseGo119],
      [Buffer.concat([hex('010000ffff'), adler]), known.lastChunkHashDoubleCloseGo118],
    ] as const) {
      const chunks = cut(Buffer.concat([deflated, behind]), 10_000_000);
      expect(chunks.map((chunk) => sha256(chunk).toString('hex'))).toEqual([
        ...known.chunkHashes.slice(0, -1),
        last,
      ]);
      const dir = await writeChunks(await tempDir(), 1, 2, chunks);
      const opened = openStateSync(findStateSync(dir)!, {
        appHash: known.derivedAppHash,
        scratchDir: await tempDir(),
        note: () => undefined,
      });
      for await (const _ of opened.exportData());
      for await (const _ of opened.artifacts());
      expect(opened.proof?.isProved).toBe(true);
      await opened.close();
    }
  });
});
