/**
 * Computes the root hash of an IAVL tree from its exported nodes, in depth-first order, children before their parent.
 * Only one path of the tree is in memory. Any run of consecutive nodes can be hashed on its own. The result is a
 * *part*: the subtrees that are complete in the run, and the inner nodes that wait for a child from an earlier run.
 *
 * Source: cosmos/iavl `node.go` (`writeHashBytes`), `export.go`, `import.go`; the same from 0.15 to 1.3.
 */
import { createHash, hash } from 'node:crypto';
import { damaged } from '../layout.ts';
import {
  bytesOf,
  MAX_KEY_BYTES,
  type ByteString,
  type IavlNode,
  type ReadNode,
} from '../stream/node.ts';

/** Root hash of a tree without nodes: the SHA-256 of the empty string. */
export const EMPTY_TREE_HASH: Buffer = createHash('sha256').digest();

export interface Subtree {
  readonly hash: ByteString;
  readonly height: number;
  /** Number of leaves. */
  readonly size: number;
  readonly version: number;
  readonly smallestKey: ByteString;
}

/** An inner node of a part that lacks a child in that part. */
export interface OpenNode {
  readonly key: ByteString;
  readonly version: number;
  readonly height: number;
  /** Position among the nodes of the tree. */
  readonly number: number;
}

/** The result of hashing a run of consecutive nodes. */
export interface TreePart {
  /** In the order of the nodes: an open node takes the two entries before it. */
  readonly rest: readonly (Subtree | OpenNode)[];
  /** Key of the first leaf, if there is one. */
  readonly firstKey: ByteString | undefined;
  readonly lastKey: ByteString;
  readonly leaves: number;
  readonly nodes: number;
}

const HASH_BYTES = 32;

/** Enough for an AVL tree with more leaves than there are bytes in the world. */
const MAX_HEIGHT = 127;
/** Limit of a part's `rest`: the height of the tree on either side, and once more for the waiting nodes. */
const MAX_REST = 3 * MAX_HEIGHT;
/** Views of shorter preimages are kept: making a view takes as long as hashing it. */
const MAX_KEPT_VIEW = 256;

export class IavlHasher {
  readonly #where: string;
  readonly #maxVersion: number;
  readonly #isPart: boolean;
  readonly #first: number;
  readonly #stack: (Subtree | OpenNode)[] = [];
  /** Number of subtrees on top of the stack. */
  #subtrees = 0;
  #firstKey: ByteString | undefined;
  #lastKey: ByteString = '';
  #preimage = Buffer.alloc(4096);
  #views: (Buffer | undefined)[] = [];
  #length = 0;
  leaves = 0;
  nodes: number;

  /**
   * @param where names the store in errors
   * @param maxVersion height of the snapshot: no node is newer
   * @param partFrom for a part: the number of nodes before it
   */
  constructor(where: string, maxVersion: number, partFrom?: number) {
    this.#where = where;
    this.#maxVersion = maxVersion;
    this.#isPart = partFrom !== undefined;
    this.#first = partFrom ?? 0;
    this.nodes = this.#first;
  }

  /**
   * Adds the next node. Does not keep the bytes of its value.
   * @throws {VerificationError} `STATE_SYNC_DAMAGED` if it cannot be the next node of an AVL tree
   */
  add(node: IavlNode): void {
    this.addRead({ ...node, key: bytesOf(node.key) });
  }

  /** {@link add} for a node from the stream. */
  addRead(node: ReadNode): void {
    const { key, value, version, height } = node;
    this.#begins(key, version);
    if (height === 0) {
      this.#addLeaf(key, sha256(value), version);
      return;
    }
    if (value.length > 0) this.#refuse('an inner node has a value', key);
    this.#addInner(key, version, height);
  }

  /** {@link add} for a leaf whose value is already hashed. @param valueHash its SHA-256 */
  addHashed(key: ByteString, valueHash: ByteString, version: number): void {
    this.#begins(key, version);
    this.#addLeaf(key, valueHash, version);
  }

  #begins(key: ByteString, version: number): void {
    this.nodes += 1;
    if (version >= 1 && version <= this.#maxVersion) return;
    const expected = `1 to ${this.#maxVersion}`;
    this.#refuse('a node has an impossible version', key, expected, version);
  }

  /**
   * Adds the nodes of a part.
   * @throws what {@link add} throws, for errors that are invisible in the part alone
   */
  addPart({ rest, firstKey, lastKey, leaves, nodes }: TreePart): void {
    const before = this.nodes;
    if (firstKey !== undefined && firstKey <= this.#lastKey) this.#refuseOrder(firstKey);
    if (firstKey !== undefined) this.#lastKey = lastKey;
    for (const each of rest) {
      if ('hash' in each) {
        this.#refuseTooMany(each.smallestKey);
        this.#push(each);
      } else {
        this.nodes = each.number;
        this.#addInner(each.key, each.version, each.height);
      }
    }
    this.leaves += leaves;
    this.nodes = before + nodes;
  }

  #addLeaf(key: ByteString, valueHash: ByteString, version: number): void {
    // Also refuses an empty first key.
    if (key <= this.#lastKey) this.#refuseOrder(key);
    if (key.length > MAX_KEY_BYTES) this.#refuse('a key is too long', key);
    this.#refuseTooMany(key);
    this.#firstKey ??= key;
    this.#lastKey = key;
    this.leaves += 1;
    this.#begin(0, 1, version, key.length + 2 * HASH_BYTES);
    this.#putUvarint(key.length);
    this.#put(key);
    this.#putHash(valueHash);
    this.#push({ hash: this.#digest(), height: 0, size: 1, version, smallestKey: key });
  }

  #push(subtree: Subtree): void {
    this.#stack.push(subtree);
    this.#subtrees += 1;
  }

  #addInner(key: ByteString, version: number, height: number): void {
    const right = this.#stack.at(-1);
    const left = this.#stack.at(-2);
    const areThere = left !== undefined && right !== undefined && 'hash' in left && 'hash' in right;
    if (!areThere) {
      if (!this.#isPart || this.#stack.length > MAX_REST) {
        this.#refuse('an inner node lacks a child', key);
      }
      this.#stack.push({ key, version, height, number: this.nodes });
      this.#subtrees = 0;
      return;
    }
    const higher = Math.max(left.height, right.height);
    if (height !== higher + 1 || Math.abs(left.height - right.height) > 1) {
      this.#refuse('the tree is not balanced', key, higher + 1, height);
    }
    if (version < left.version || version < right.version) {
      this.#refuse('an inner node is older than its children', key);
    }
    // The hash does not cover the key.
    if (key !== right.smallestKey) {
      this.#refuse(
        'the key of an inner node differs from the smallest key on its right side',
        key,
        hex(right.smallestKey),
        hex(key),
      );
    }
    this.#stack.length -= 2;
    this.#subtrees -= 2;
    const size = left.size + right.size;
    this.#begin(height, size, version, 2 * HASH_BYTES);
    this.#putHash(left.hash);
    this.#putHash(right.hash);
    const { smallestKey } = left;
    this.#push({ hash: this.#digest(), height, size, version, smallestKey });
  }

  #refuseOrder(key: ByteString): never {
    return this.#refuse(
      'the keys of a store are not in ascending order',
      key,
      `a key above ${hex(this.#lastKey)}`,
      hex(key),
    );
  }

  #refuseTooMany(key: ByteString): void {
    if (this.#subtrees <= MAX_HEIGHT && this.#stack.length <= MAX_REST) return;
    this.#refuse('nodes between the leaves are missing', key);
  }

  /** The nodes so far, as a part. */
  part(): TreePart {
    return {
      rest: this.#stack,
      firstKey: this.#firstKey,
      lastKey: this.#lastKey,
      leaves: this.leaves,
      nodes: this.nodes - this.#first,
    };
  }

  /** The root hash. @throws {VerificationError} `STATE_SYNC_DAMAGED` if nodes are missing */
  finish(): Buffer {
    if (this.#stack.length > 1) {
      damaged('nodes of a store are missing', {
        path: this.#where,
        expected: 'one tree',
        found: `${this.#stack.length} trees`,
      });
    }
    const [root] = this.#stack;
    return root === undefined || !('hash' in root)
      ? EMPTY_TREE_HASH
      : Buffer.from(root.hash, 'latin1');
  }

  /** The newest version of any node: that of the root, since no child is newer. 0 for a tree without nodes. */
  get newestVersion(): number {
    return this.#stack[0]?.version ?? 0;
  }

  #begin(height: number, size: number, version: number, moreBytes: number): void {
    this.#length = 0;
    const atMost = moreBytes + 64;
    if (this.#preimage.length < atMost) {
      this.#preimage = Buffer.alloc(2 * atMost);
      this.#views = [];
    }
    // Go writes signed varints here. The numbers are never negative, so each is encoded as twice the number.
    this.#putUvarint(2 * height);
    this.#putUvarint(2 * size);
    this.#putUvarint(2 * version);
  }

  #putUvarint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.#preimage[this.#length] = (rest % 128) | 0x80;
      this.#length += 1;
      rest = Math.floor(rest / 128);
    }
    this.#preimage[this.#length] = rest;
    this.#length += 1;
  }

  #put(bytes: ByteString): void {
    this.#length += this.#preimage.write(bytes, this.#length, 'latin1');
  }

  #putHash(hashed: ByteString): void {
    this.#preimage[this.#length] = HASH_BYTES;
    this.#length += 1;
    this.#put(hashed);
  }

  #digest(): ByteString {
    const length = this.#length;
    if (length > MAX_KEPT_VIEW) return sha256(this.#preimage.subarray(0, length));
    return sha256((this.#views[length] ??= this.#preimage.subarray(0, length)));
  }

  #refuse(
    message: string,
    key: ByteString,
    expected?: string | number,
    found?: string | number,
  ): never {
    return damaged(message, {
      path: `${this.#where}, node ${this.nodes}, key ${hex(key)}`,
      expected,
      found,
    });
  }
}

function sha256(bytes: Uint8Array): ByteString {
  return hash('sha256', bytes, 'binary');
}

function hex(bytes: ByteString): string {
  const text = Buffer.from(bytes.slice(0, 32), 'latin1').toString('hex');
  return bytes.length > 32 ? `${text}…` : text;
}
