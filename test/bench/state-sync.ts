/** The race on a state-sync snapshot. The snapshot is made once from the store of a size, and kept beside it. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createDeflate } from 'node:zlib';
import { computeAppHash } from '../../src/formats/state-sync/proof/app-hash.ts';
import { swingsetItems, swingsetLeaves, type Leaf } from '../fixtures/state-sync/make-chain.ts';
import {
  nodeItem,
  rootOf,
  sized,
  storeItem,
  wireNodes,
  type TreeNode,
} from '../fixtures/state-sync/make-snapshot.ts';
import { SWINGSNAP, type Race } from './contenders.ts';
import { measure } from './measure.ts';
import { BENCH_DIR, storeOfSize } from './stores.ts';

const CHUNK_BYTES = 10_000_000;
const HEIGHT = 1_000_001;
/**
 * Bytes of the whole stream, by the size of the store. The stream holds the artifacts and export data of the store, and
 * other stores.
 */
const STREAM_BYTES: Readonly<Record<string, number>> = { tiny: 10_000_000, '1x': 1_000_000_000 };

export interface StateSyncSnapshot {
  /** The directory of its chunks. */
  readonly dir: string;
  readonly appHash: string;
}

/** The race for the store of a size, or none if no snapshot is made of that store. */
export async function stateSyncRaces(size: string): Promise<readonly Race[]> {
  const bytes = STREAM_BYTES[size];
  if (bytes === undefined) return [];
  const { dir, appHash } = await snapshotOfSize(size, bytes);
  const inflater = ['pigz -dc', 'zlib-flate -uncompress'].find((command) => {
    const [program = ''] = command.split(' ');
    return execFileSync('bash', ['-c', `command -v ${program} || true`]).length > 0;
  });
  if (inflater === undefined) throw new Error('install pigz, or qpdf for its zlib-flate');
  const chunks = `ls ${dir} | sort -n | sed 's|^|${dir}/|' | xargs cat`;
  return [
    {
      title: 'verify of a state-sync snapshot',
      ours: {
        name: 'verify --app-hash',
        command: [...SWINGSNAP, 'verify', dir, '--app-hash', appHash, '--json'],
      },
      rivals: [
        {
          name: `${inflater} | sha256sum`,
          command: `${chunks} | ${inflater} | sha256sum`,
          target: 2,
        },
      ],
    },
  ];
}

async function snapshotOfSize(size: string, bytes: number): Promise<StateSyncSnapshot> {
  const home = join(BENCH_DIR, 'stores', `state-sync-${size}-${bytes}`);
  if (!existsSync(home)) {
    const making = `${home}.making`;
    await rm(making, { recursive: true, force: true });
    await make(making, await storeOfSize(size), bytes);
    await rename(making, home);
  }
  return {
    dir: join(home, String(HEIGHT), '3'),
    appHash: await readFile(join(home, 'app-hash'), 'utf8'),
  };
}

async function make(home: string, store: string, bytes: number): Promise<void> {
  const exportDir = join(home, 'export');
  await mkdir(home, { recursive: true });
  await measure([...SWINGSNAP, 'export', '--state-dir', store, '--export-dir', exportDir]);
  const artifacts = (await swingsetItems(exportDir)).map(sized);
  const swingset = treeOf(await swingsetLeaves(exportDir));
  const taken = [...artifacts, ...itemsOf('swingset', swingset)];
  let left = bytes - taken.reduce((sum, { length }) => sum + length, 0);
  const trees: [string, TreeNode][] = [['swingset', swingset]];
  const perLeaf = 330;
  for (const name of ['bank', 'ibc', 'staking', 'vstorage']) {
    const count = Math.max(10, Math.round(left / perLeaf / (5 - trees.length)));
    const tree = treeOf(Array.from({ length: count }, (_, i) => leafOf(name, i)));
    left -= itemsOf(name, tree).reduce((sum, { length }) => sum + length, 0);
    trees.push([name, tree]);
  }
  trees.sort(([a], [b]) => (a < b ? -1 : 1));
  const dir = join(home, String(HEIGHT), '3');
  await mkdir(dir, { recursive: true });
  await pipeline(
    function* items() {
      for (const [name, tree] of trees) yield* itemsOf(name, tree);
      yield* artifacts;
    },
    createDeflate({ level: 7, chunkSize: 1024 * 1024 }),
    async (deflated) => writeChunks(dir, deflated as AsyncIterable<Buffer>),
  );
  const roots = trees.map(([name, tree]) => ({ name, root: rootOf(tree) }));
  await writeFile(join(home, 'app-hash'), computeAppHash(roots));
  await rm(exportDir, { recursive: true });
}

const itemsOf = (name: string, tree: TreeNode): Buffer[] =>
  [storeItem(name), ...wireNodes(tree).map(nodeItem)].map(sized);

/** A leaf like those of chains: a short key, and some hundred bytes that compress by half. */
function leafOf(store: string, number: number): Leaf {
  const hash = createHash('sha256').update(`${store} ${number}`).digest();
  const text = hash.toString('hex');
  return [
    Buffer.concat([Buffer.of(number % 7), hash]),
    Buffer.from(text.repeat(1 + (hash[0]! % 5))),
  ];
}

/** The tree of the leaves in order, as flat as possible. */
function treeOf(leaves: readonly Leaf[]): TreeNode {
  const sorted = leaves.toSorted(([a], [b]) => Buffer.compare(a, b));
  const grow = (from: number, to: number): TreeNode => {
    const [key, value] = sorted[from]!;
    if (to - from === 1) {
      return { key, value, version: 1 + ((key.at(-1)! * 3907) % HEIGHT), height: 0 };
    }
    const middle = (from + to) >> 1;
    const [left, right] = [grow(from, middle), grow(middle, to)];
    return {
      key: sorted[middle]![0],
      version: Math.max(left.version, right.version),
      height: Math.max(left.height, right.height) + 1,
      left,
      right,
    };
  };
  return grow(0, sorted.length);
}

async function writeChunks(dir: string, deflated: AsyncIterable<Buffer>): Promise<void> {
  let [number, size] = [0, 0];
  let file = await open(join(dir, '0'), 'wx');
  for await (const piece of deflated) {
    for (let at = 0; at < piece.length;) {
      if (size === CHUNK_BYTES) {
        await file.close();
        number += 1;
        size = 0;
        file = await open(join(dir, String(number)), 'wx');
      }
      const part = piece.subarray(at, at + CHUNK_BYTES - size);
      await file.writeFile(part);
      at += part.length;
      size += part.length;
    }
  }
  await file.close();
}
