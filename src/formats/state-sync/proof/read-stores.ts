/** Reads the stores of a state-sync snapshot, which all come before the first extension. */
import { InOrder } from '../../../io/flow/in-order.ts';
import { queueFor, type WorkerPool } from '../../../io/threads/pool.ts';
import { damaged } from '../layout.ts';
import type { OtherItem } from '../stream/decode-item.ts';
import type { ItemReader, NodeBlock } from '../stream/items.ts';
import type { LargeLeaf } from '../stream/large-leaf.ts';
import type { StoreRoot } from './app-hash.ts';
import type { CodeHashes } from './code-hashes.ts';
import {
  hashingNodes,
  hashLargeLeaf,
  wantedOf,
  type HashedNodes,
  type HashingOptions,
  type NodesToHash,
} from './hash-nodes.ts';
import { IavlHasher } from './iavl.ts';
import type { OrderedExportData } from './ordered-export-data.ts';

/** Far more than any chain has. */
const MAX_STORES = 10_000;
const WANTED: ReadonlyMap<string, HashingOptions['wanted']> = new Map([
  ['swingset', 'export data'],
  ['wasm', 'code hashes'],
]);

export interface ReadStoresOptions {
  /** Names the snapshot in errors. */
  readonly location: string;
  /** Height of the snapshot: no node is newer. */
  readonly height: number;
  /** Receives the export data, if wanted. */
  readonly exportData: OrderedExportData | undefined;
  readonly codes: CodeHashes;
  /** Hashes the nodes. */
  readonly pool: WorkerPool;
}

export interface ReadStores {
  readonly roots: readonly StoreRoot[];
  /**
   * The newest version of any node. This is the height of the stores, since a chain writes to some store in every
   * block.
   */
  readonly newestVersion: number;
  /** The first item after the stores, if any. */
  readonly behind: OtherItem | undefined;
}

/**
 * Reads all stores. Their content is unproved until the AppHash of their roots is proved.
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export async function readStores(
  reader: ItemReader,
  options: ReadStoresOptions,
): Promise<ReadStores> {
  const roots: StoreRoot[] = [];
  let newestVersion = 0;
  let item = await reader.next(() =>
    damaged('a node comes before any store', { path: reader.where }),
  );
  while (item?.kind === 'store') {
    const { name } = item;
    const isOrdered = Buffer.compare(Buffer.from(roots.at(-1)?.name ?? ''), Buffer.from(name)) < 0;
    if (!isOrdered || roots.length >= MAX_STORES) {
      damaged('the stores are out of order, or there are too many', {
        path: reader.where,
        found: name,
      });
    }
    const { tree, behind } = await readStore(reader, name, options);
    roots.push({ name, root: tree.finish() });
    newestVersion = Math.max(newestVersion, tree.newestVersion);
    item = behind;
  }
  return { roots, newestVersion, behind: item };
}

/** Reads one tree: hashes its nodes in parts, in parallel, and joins the parts in order. */
async function readStore(
  reader: ItemReader,
  name: string,
  { location, height, exportData, codes, pool }: ReadStoresOptions,
): Promise<{ readonly tree: IavlHasher; readonly behind: OtherItem | undefined }> {
  const where = `${location}: store ${name}`;
  const wanted = WANTED.get(name);
  if (wanted === 'code hashes') codes.hasStore = true;
  const tree = new IavlHasher(where, height);
  const rooms: Uint8Array[] = [];
  const parts = new InOrder<HashedNodes>(queueFor(pool), (hashed) => {
    tree.addPart(hashed.part);
    exportData?.add(hashed);
    codes.add(hashed.codes);
    if (hashed.room !== undefined) rooms.push(hashed.room);
  });
  let before = 0;
  const takeBlock = async (block: NodeBlock): Promise<void> => {
    const { length } = block.bytes;
    const given = pool.concurrency === 0 ? whole(block.bytes) : ownOf(block);
    const task = { ...given, room: rooms.pop(), before, where, maxVersion: height, wanted };
    before += block.count;
    const gives = task.room === undefined ? [task.bytes] : [task.bytes, task.room];
    await parts.add(pool.run(hashingNodes, task, gives), length);
  };
  const takeLarge = async (leaf: LargeLeaf): Promise<void> => {
    const hashed = hashLargeLeaf(leaf, { before, where, maxVersion: height, wanted });
    before += 1;
    await parts.add(Promise.resolve(hashed), hashed.linesSize);
  };
  const behind = await reader.next(
    async (nodes) => ('bytes' in nodes ? takeBlock(nodes) : takeLarge(nodes)),
    (key) => wantedOf(key, { wanted }),
  );
  await parts.end();
  return { tree, behind };
}

type Given = Pick<NodesToHash, 'bytes' | 'start' | 'end'>;

const whole = (bytes: Uint8Array): Given => ({ bytes, start: 0, end: bytes.length });

/** The bytes in a buffer that can be transferred to another thread. */
function ownOf({ bytes, isOwn }: NodeBlock): Given {
  if (isOwn) {
    const start = bytes.byteOffset;
    return { bytes: new Uint8Array(bytes.buffer), start, end: start + bytes.length };
  }
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return whole(copy);
}
