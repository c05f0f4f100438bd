import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { nodesIn } from '../../../src/formats/state-sync/proof/hash-nodes.ts';
import { IavlHasher } from '../../../src/formats/state-sync/proof/iavl.ts';
import { nodeAtHand } from '../../../src/formats/state-sync/proof/node-at-hand.ts';
import type { OtherItem } from '../../../src/formats/state-sync/stream/decode-item.ts';
import { ItemReader } from '../../../src/formats/state-sync/stream/items.ts';
import type { IavlNode } from '../../../src/formats/state-sync/stream/node.ts';
import {
  artifactPayload,
  extensionItem,
  insert,
  nodeItem,
  payloadItem,
  rootOf,
  storeItem,
  uvarint,
  wireNodes,
  type TreeNode,
} from '../../fixtures/state-sync/make-snapshot.ts';

// fast-check prints the seed of a failure; FUZZ_SEED repeats it.
const seed = process.env['FUZZ_SEED'];
const options = (numRuns: number) => ({
  numRuns,
  plugins: [fc.interruptAfterTimeLimit(20_000)],
  ...(seed !== undefined && { seed: Number(seed) }),
});

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Everything that a reader reports about a stream. */
async function readAll(raw: Buffer, chunkBytes: number): Promise<unknown[]> {
  const reader = new ItemReader(chunksOf(deflateSync(raw, { level: 0 }), chunkBytes), 'fuzz');
  const said: unknown[] = [];
  try {
    for (;;) {
      const item: OtherItem | undefined = await reader.next((given) => {
        if (!('bytes' in given)) throw new Error('nothing here is that large');
        const { bytes: block, count } = given;
        const nodes = [...nodesIn(block, 'fuzz')];
        expect(nodes).toHaveLength(count);
        for (const { key, value, version, height } of nodes) {
          said.push([
            Buffer.from(key, 'latin1').toString('hex'),
            Buffer.from(value).toString('hex'),
            version,
            height,
          ]);
        }
      });
      if (item === undefined) return said;
      said.push(item);
      if (item.kind !== 'payload') continue;
      for (let piece = await reader.read(); piece !== undefined; piece = await reader.read()) {
        said.push(Buffer.from(piece).toString('hex'));
      }
    }
  } finally {
    await reader.close();
  }
}

const bytes = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const name = fc.string({
  minLength: 1,
  maxLength: 9,
  unit: fc.constantFrom('a', 'b', 'y', 'z', '_', '9'),
});
const anyNode = fc.record({
  key: fc.uint8Array({ minLength: 1, maxLength: 300 }).map((array) => Buffer.from(array)),
  value: bytes(300),
  version: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  height: fc.integer({ min: 0, max: 127 }),
});
const anyItem = fc.oneof(
  { weight: 6, arbitrary: anyNode.map(nodeItem) },
  name.map(storeItem),
  fc
    .tuple(name, fc.integer({ min: 0, max: 3 }))
    .map(([text, format]) => extensionItem(text, format)),
  fc.tuple(name, bytes(300)).map(([text, data]) => payloadItem(artifactPayload(text, data))),
);
const sized = (message: Buffer): Buffer => Buffer.concat([uvarint(message.length), message]);

const damage = fc.record({
  at: fc.nat(),
  by: fc.oneof(
    fc.record({ kind: fc.constant('set' as const), byte: fc.nat(255) }),
    fc.record({ kind: fc.constant('cut' as const), count: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ kind: fc.constant('add' as const), more: bytes(11) }),
  ),
});

function damaged(raw: Buffer, { at, by }: typeof damage extends fc.Arbitrary<infer T> ? T : never) {
  const place = at % (raw.length + 1);
  const rest = raw.subarray(place);
  const put =
    by.kind === 'set' ? Buffer.of(by.byte) : by.kind === 'add' ? by.more : Buffer.alloc(0);
  const taken = by.kind === 'set' ? 1 : by.kind === 'cut' ? by.count : 0;
  return Buffer.concat([raw.subarray(0, place), put, rest.subarray(taken)]);
}

async function orRefusal(read: () => Promise<unknown>): Promise<unknown> {
  try {
    return await read();
  } catch (error) {
    // Any other error is a crash.
    if (error instanceof VerificationError) return error.code;
    throw error;
  }
}

describe('the item reader', () => {
  it('reads or refuses a damaged stream in the same way, however it is cut into pieces', async () => {
    const property = fc.asyncProperty(
      fc.array(anyItem, { maxLength: 8 }),
      fc.array(damage, { maxLength: 3 }),
      async (items, damages) => {
        const raw = damages.reduce(damaged, Buffer.concat(items.map(sized)));
        const flat = (said: unknown): string =>
          typeof said === 'string' ? said : JSON.stringify(joined(said as unknown[]));
        const whole = flat(await orRefusal(async () => readAll(raw, 1_000_000)));
        expect(flat(await orRefusal(async () => readAll(raw, 3)))).toBe(whole);
      },
    );
    await fc.assert(property, options(400));
  });

  it('returns every item that was written', async () => {
    const property = fc.asyncProperty(fc.array(anyNode, { maxLength: 20 }), async (nodes) => {
      const said = await readAll(Buffer.concat(nodes.map(nodeItem).map(sized)), 1000);
      expect(said).toEqual(
        nodes.map(({ key, value, version, height }) => [
          key.toString('hex'),
          value.toString('hex'),
          version,
          height,
        ]),
      );
    });
    await fc.assert(property, options(200));
  });

  it('accepts a single encoding of a node: a node from the fast path encodes to the same bytes', () => {
    const property = fc.property(anyNode, fc.array(damage, { maxLength: 2 }), (node, damages) => {
      const message = damages.reduce(damaged, nodeItem(node));
      const found = nodeAtHand(message, 0, message.length);
      // The strict reader handles larger versions.
      if (damages.length === 0) expect(found === undefined).toBe(node.version >= 2 ** 49);
      if (found === undefined) return;
      const [key, value] = [Buffer.from(found.key, 'latin1'), Buffer.from(found.value)];
      expect(nodeItem({ ...found, key, value }).equals(message)).toBe(true);
    });
    fc.assert(property, options(3000));
  });
});

/** Joins the pieces of each payload, because they depend on how the stream is cut. */
function joined(said: unknown[]): unknown[] {
  const all: unknown[] = [];
  for (const one of said) {
    const last = all.at(-1);
    if (typeof one === 'string' && typeof last === 'string') all[all.length - 1] = last + one;
    else all.push(one);
  }
  return all;
}

describe('a tree', () => {
  const rootFrom = (nodes: readonly IavlNode[]): string => {
    const hasher = new IavlHasher('fuzz', 1_000_000);
    for (const node of nodes) hasher.add(node);
    return hasher.finish().toString('hex');
  };

  it('has the same root or the same refusal, however its nodes are cut into parts', () => {
    const entry = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 2 }), bytes(2));
    const change = fc.record({ at: fc.nat(), version: fc.nat(50), drop: fc.boolean() });
    const property = fc.property(
      fc.array(entry, { maxLength: 60 }),
      fc.array(fc.nat(130), { maxLength: 6 }),
      fc.option(change),
      (entries, cuts, changed) => {
        let tree: TreeNode | undefined;
        for (const [i, [key, value]] of entries.entries()) {
          tree = insert(tree, Buffer.from(key), value, i + 1);
        }
        const nodes: IavlNode[] = wireNodes(tree);
        const at = (changed?.at ?? 0) % Math.max(1, nodes.length);
        const node = nodes[at];
        if (changed !== null && node !== undefined) {
          const put = changed.drop ? [] : [{ ...node, version: changed.version }];
          nodes.splice(at, 1, ...put);
        }
        const ofParts = (): string => {
          const hasher = new IavlHasher('fuzz', 1_000_000);
          const borders = [0, ...cuts.toSorted((a, b) => a - b), nodes.length];
          for (const [i, from] of borders.slice(0, -1).entries()) {
            const part = new IavlHasher('fuzz', 1_000_000, from);
            for (const each of nodes.slice(from, borders[i + 1])) part.add(each);
            hasher.addPart(part.part());
          }
          expect(hasher.nodes).toBe(nodes.length);
          return hasher.finish().toString('hex');
        };
        const told = (root: () => string): string => {
          try {
            return root();
          } catch (error) {
            expect(error).toBeInstanceOf(VerificationError);
            return 'refused';
          }
        };
        expect(told(ofParts)).toBe(told(() => rootFrom(nodes)));
      },
    );
    fc.assert(property, options(500));
  });

  it('has the same root as in another implementation, and changed nodes never yield that root', () => {
    const entry = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 3 }), bytes(4));
    const property = fc.property(
      fc.array(entry, { minLength: 2, maxLength: 40 }),
      fc.record({
        at: fc.nat(),
        what: fc.constantFrom('key', 'value', 'version', 'height', 'drop', 'swap'),
      }),
      bytes(4),
      (entries, { at, what }, other) => {
        let tree: TreeNode | undefined;
        for (const [i, [key, value]] of entries.entries()) {
          tree = insert(tree, Buffer.from(key), value, i + 1);
        }
        const nodes = wireNodes(tree);
        const root = rootOf(tree).toString('hex');
        expect(rootFrom(nodes)).toBe(root);
        const place = at % nodes.length;
        const node = nodes[place]!;
        const next = nodes[place + 1];
        const changed =
          what === 'drop'
            ? nodes.toSpliced(place, 1)
            : what === 'swap'
              ? next === undefined
                ? nodes
                : nodes.toSpliced(place, 2, next, node)
              : nodes.with(place, {
                  ...node,
                  ...(what === 'key' && { key: other }),
                  ...(what === 'value' && { value: other }),
                  ...(what === 'version' && { version: node.version + 1 }),
                  ...(what === 'height' && { height: node.height + 1 }),
                });
        const isSame = JSON.stringify(changed) === JSON.stringify(nodes);
        let found: string;
        try {
          found = rootFrom(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(VerificationError);
          expect(isSame).toBe(false);
          return;
        }
        expect(found === root).toBe(isSame);
      },
    );
    fc.assert(property, options(500));
  });
});
