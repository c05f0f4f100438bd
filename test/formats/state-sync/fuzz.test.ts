/** Streams that no program writes never cause a crash or a hang, and are never accepted by mistake. */
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { findStateSync } from '../../../src/formats/state-sync/find.ts';
import { openStateSync } from '../../../src/formats/state-sync/open.ts';
import { proveAppHash, type StoreRoot } from '../../../src/formats/state-sync/proof/app-hash.ts';
import { nodesIn } from '../../../src/formats/state-sync/proof/hash-nodes.ts';
import { IavlHasher } from '../../../src/formats/state-sync/proof/iavl.ts';
import { ItemReader } from '../../../src/formats/state-sync/stream/items.ts';
import { copyVerified } from '../../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../../src/swing-store-export/null-sink.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import {
  makeChain,
  someLeaves,
  storeItems,
  swingsetItems,
  swingsetLeaves,
  wasmItems,
  wasmLeaves,
} from '../../fixtures/state-sync/make-chain.ts';
import {
  insert,
  nodeItem,
  rootOf,
  sized,
  storeItem,
  uvarint,
  wireNodes,
  writeChunks,
  type TreeNode,
} from '../../fixtures/state-sync/make-snapshot.ts';

const exportDir = new URL('../../fixtures/state-sync/export/', import.meta.url).pathname;
const tempDir = useTempDir();

const SEED = 202_611;
const HEIGHT = 50;

let tree: TreeNode | undefined;
for (let i = 0; i < 60; i += 1) {
  tree = insert(
    tree,
    Buffer.from(`key ${(i * 37) % 60}`),
    Buffer.from(`v${i}`),
    Math.min(i + 1, HEIGHT),
  );
}
const roots: StoreRoot[] = [
  { name: 'one', root: rootOf(tree) },
  { name: 'two', root: rootOf(undefined) },
];
const appHash = proveAppHash(roots, undefined)!.appHash;
const items = [storeItem('one'), ...wireNodes(tree).map(nodeItem), storeItem('two')];
const honest = Buffer.concat(items.map((item) => Buffer.concat([uvarint(item.length), item])));

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Whether the reader accepts a stream as one that the AppHash proves. The reader may throw only refusals. */
async function accepts(raw: Buffer, pieceBytes: number): Promise<boolean> {
  const reader = new ItemReader(inPieces(deflateSync(raw), pieceBytes), 'a test');
  try {
    const found: StoreRoot[] = [];
    let item = await reader.next(() => {
      throw new VerificationError('TEST', 'a node before any store');
    });
    while (item?.kind === 'store') {
      const { name } = item;
      const hasher = new IavlHasher(name, HEIGHT);
      item = await reader.next((nodes) => {
        if (!('bytes' in nodes)) throw new Error('nothing here is that large');
        for (const node of nodesIn(nodes.bytes, name)) hasher.addRead(node);
      });
      found.push({ name, root: hasher.finish() });
    }
    while (item !== undefined) {
      item = await reader.next(() => {
        throw new VerificationError('TEST', 'a node behind the stores');
      });
    }
    return proveAppHash(found, appHash) !== undefined;
  } catch (error) {
    if (error instanceof VerificationError) return false;
    throw error;
  } finally {
    await reader.close();
  }
}

const check = async (property: fc.IAsyncProperty<unknown>, numRuns: number): Promise<void> => {
  await fc.assert(property, { seed: SEED, numRuns });
};

describe('the reader of items', () => {
  it('accepts the honest stream, cut into pieces of any size', async () => {
    for (const size of [1, 2, 7, 100, 100_000]) expect(await accepts(honest, size)).toBe(true);
  });

  it('refuses every stream that differs from the honest one', async () => {
    const edit = fc.record({
      at: fc.nat(honest.length - 1),
      remove: fc.nat(3),
      add: fc.uint8Array({ maxLength: 3 }),
    });
    const property = fc.asyncProperty(
      fc.array(edit, { minLength: 1, maxLength: 3 }),
      async (edits) => {
        let raw = honest;
        for (const { at, remove, add } of edits) {
          raw = Buffer.concat([raw.subarray(0, at), add, raw.subarray(at + remove)]);
        }
        fc.pre(!raw.equals(honest));
        expect(await accepts(raw, 64)).toBe(false);
      },
    );
    await check(property, 600);
  });

  it('refuses random bytes, and ends', async () => {
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      expect(await accepts(Buffer.from(bytes), 50)).toBe(false);
    });
    await check(property, 400);
  });

  it('refuses the items of the honest stream in any other order', async () => {
    const property = fc.asyncProperty(fc.shuffledSubarray(items), async (some) => {
      const raw = Buffer.concat(some.map((item) => Buffer.concat([uvarint(item.length), item])));
      fc.pre(!raw.equals(honest));
      expect(await accepts(raw, 1000)).toBe(false);
    });
    await check(property, 200);
  });
});

describe('a chain with a SwingStore and byte code', () => {
  it('keeps its meaning or is refused after any change to its bytes', async () => {
    const codes = [Buffer.from('a code'), Buffer.from('another')];
    const chain = makeChain(HEIGHT, {
      bank: someLeaves(30, 1),
      swingset: await swingsetLeaves(exportDir),
      wasm: wasmLeaves(codes),
    });
    const all = [...storeItems(chain), ...(await swingsetItems(exportDir)), ...wasmItems(codes)];
    const raw = Buffer.concat(all.map(sized));
    const meaningOf = async (stream: Buffer) => {
      const dir = await writeChunks(await tempDir(), HEIGHT, 3, [deflateSync(stream)]);
      const given: string[] = [];
      const scratchDir = await tempDir();
      const opened = openStateSync(findStateSync(dir)!, {
        appHash: chain.appHash,
        scratchDir,
        note: () => undefined,
        onCode: async ({ data }) => void given.push(Buffer.from(data).toString()),
      });
      try {
        const artifacts: string[] = [];
        const { summary } = await copyVerified(opened, async () => nullSink(), {
          scratchDir,
          inspect: (index) => {
            for (const { name, sha256 } of index.present()) artifacts.push(`${name} ${sha256}`);
          },
        });
        // The id of such a bundle covers the modules in it, but not every byte of its archive.
        const certain = artifacts.filter((artifact) => !artifact.startsWith('bundle.b1-'));
        return [summary.hashes?.exportDataHash, ...certain, ...given.sort()];
      } finally {
        await opened.close();
      }
    };
    const meaning = await meaningOf(raw);
    expect(meaning).toHaveLength(8);
    const change = fc.record({
      at: fc.nat(raw.length - 1),
      remove: fc.nat(2),
      add: fc.uint8Array({ maxLength: 2 }),
    });
    const property = fc.asyncProperty(change, async ({ at, remove, add }) => {
      const changed = Buffer.concat([raw.subarray(0, at), add, raw.subarray(at + remove)]);
      try {
        // Bytes that no hash covers and no rule forbids, such as the time in a gzip, carry no meaning.
        expect(await meaningOf(changed)).toEqual(meaning);
      } catch (error) {
        if (!(error instanceof VerificationError)) throw error;
      }
    });
    await check(property, 300);
  });
});
