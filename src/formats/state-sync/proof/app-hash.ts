/**
 * Computes the AppHash of a chain from the root hashes of its stores.
 *
 * Source: cosmos-sdk `store/types/commit_info.go`, `store/internal/maps/maps.go`; cometbft `crypto/merkle/tree.go`
 * (RFC 6962).
 */
import { createHash } from 'node:crypto';
import { uvarint } from '../stream/encode-item.ts';

/** Name and root hash of a store. */
export interface StoreRoot {
  readonly name: string;
  readonly root: Uint8Array;
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/**
 * The AppHash as lower-case hex.
 * @param stores all IAVL stores, in any order
 * @param memStores names of memory stores, which SDKs up to 0.46 count with an empty hash
 */
export function computeAppHash(
  stores: readonly StoreRoot[],
  memStores: readonly string[] = [],
): string {
  const all = [...stores, ...memStores.map((name) => ({ name, root: new Uint8Array() }))];
  const items = all
    .map(({ name, root }) => ({ name: Buffer.from(name), root }))
    .sort((a, b) => Buffer.compare(a.name, b.name))
    .map(({ name, root }) =>
      Buffer.concat([uvarint(name.length), name, uvarint(32), sha256(root)]),
    );
  return merkleRoot(items).toString('hex');
}

/** The root of the tree of RFC 6962 over `items`. */
export function merkleRoot(items: readonly Uint8Array[]): Buffer {
  const [only] = items;
  if (only === undefined) return sha256();
  if (items.length === 1) return sha256(Buffer.of(0), only);
  const split = 2 ** Math.floor(Math.log2(items.length - 1));
  return sha256(Buffer.of(1), merkleRoot(items.slice(0, split)), merkleRoot(items.slice(split)));
}

/** The AppHash of a snapshot. */
export interface AppHashProof {
  /** AppHash of the stores, with {@link memStores} counted; upper-case hex, as an RPC spells it. */
  readonly appHash: string;
  /** Memory stores that had to be counted. */
  readonly memStores: readonly string[];
  /** Whether a trusted AppHash was given; it then equals this one. */
  readonly isProved: boolean;
}

/** Memory store of every Agoric chain on SDK 0.46 and earlier. */
const USUAL_MEM_STORE = 'mem_capability';

/**
 * Compares the stores with a trusted AppHash, without and with memory stores.
 * @param expected hex, upper or lower case; if undefined, nothing is proved, and the AppHash includes `memStores`
 * @returns undefined if the AppHash differs
 */
export function proveAppHash(
  stores: readonly StoreRoot[],
  expected: string | undefined,
  memStores: readonly string[] = [],
): AppHashProof | undefined {
  if (expected === undefined) {
    return { appHash: computeAppHash(stores, memStores).toUpperCase(), memStores, isProved: false };
  }
  const candidates = [
    [],
    memStores,
    [USUAL_MEM_STORE],
    [...new Set([...memStores, USUAL_MEM_STORE])],
  ];
  const found = candidates.find(
    (names) => computeAppHash(stores, names) === expected.toLowerCase(),
  );
  return found && { appHash: expected.toUpperCase(), memStores: found, isProved: true };
}
