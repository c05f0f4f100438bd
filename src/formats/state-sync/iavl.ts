/**
 * The root hash of an IAVL tree from its exported nodes, which come depth first, children before their parent. Only
 * one path of the tree is in memory.
 *
 * Source: cosmos/iavl `node.go` (`writeHashBytes`), `export.go`, `import.go`; the same from 0.15 to 1.3.
 */
import { createHash, hash } from 'node:crypto';
import { damaged } from './layout.ts';

/** An exported node. A leaf has height 0 and a value, which may be empty. */
export interface IavlNode {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: number;
  readonly height: number;
}

/** Root hash of a tree without nodes: the SHA-256 of nothing. */
export const EMPTY_TREE_HASH: Buffer = createHash('sha256').digest();

interface Subtree {
  readonly hash: Buffer;
  readonly height: number;
  /** Number of leaves. */
  readonly size: number;
  readonly version: number;
  readonly smallestKey: Uint8Array;
}

const HASH_BYTES = 32;

export class IavlHasher {
  readonly #where: string;
  readonly #maxVersion: number;
  readonly #stack: Subtree[] = [];
  #lastKey: Uint8Array | undefined;
  #preimage = Buffer.alloc(4096);
  #length = 0;
  leaves = 0;
  nodes = 0;

  /**
   * @param where names the store in errors
   * @param maxVersion height of the snapshot: no node can be newer
   */
  constructor(where: string, maxVersion: number) {
    this.#where = where;
    this.#maxVersion = maxVersion;
  }

  /**
   * Adds the next node; the bytes of its value are not kept.
   * @throws {VerificationError} `STATE_SYNC_DAMAGED` if it cannot be the next node of an AVL tree
   */
  add(node: IavlNode): void {
    this.nodes += 1;
    if (node.version < 1 || node.version > this.#maxVersion) {
      this.#refuse(
        'a node has a version that it cannot have',
        node,
        `1 to ${String(this.#maxVersion)}`,
        node.version,
      );
    }
    if (node.height === 0) this.#addLeaf(node);
    else this.#addInner(node);
  }

  #addLeaf(node: IavlNode): void {
    const { value, version } = node;
    if (node.key.length === 0) this.#refuse('a leaf has no key', node);
    const key = Buffer.from(node.key);
    if (this.#lastKey !== undefined && Buffer.compare(this.#lastKey, key) >= 0) {
      this.#refuse(
        'the keys of a store do not ascend',
        node,
        `a key above ${hex(this.#lastKey)}`,
        hex(key),
      );
    }
    this.#lastKey = key;
    this.leaves += 1;
    this.#begin(0, 1, version, key.length + 2 * HASH_BYTES);
    this.#putUvarint(key.length);
    this.#putBytes(key);
    this.#putHash(sha256(value));
    this.#stack.push({ hash: this.#digest(), height: 0, size: 1, version, smallestKey: key });
  }

  #addInner(node: IavlNode): void {
    const right = this.#stack.pop();
    const left = this.#stack.pop();
    if (left === undefined || right === undefined)
      this.#refuse('an inner node has no two children', node);
    const { key, value, version, height } = node;
    const [lower, higher] = [left.height, right.height].sort((a, b) => a - b) as [number, number];
    if (height !== higher + 1 || higher - lower > 1) {
      this.#refuse('the tree is not balanced', node, higher + 1, height);
    }
    if (value.length > 0) this.#refuse('an inner node has a value', node);
    if (version < left.version || version < right.version) {
      this.#refuse('an inner node is older than its children', node);
    }
    // The hash does not cover it.
    if (Buffer.compare(key, right.smallestKey) !== 0) {
      this.#refuse(
        'an inner node has another key than its right side',
        node,
        hex(right.smallestKey),
        hex(key),
      );
    }
    const size = left.size + right.size;
    this.#begin(height, size, version, 2 * HASH_BYTES);
    this.#putHash(left.hash);
    this.#putHash(right.hash);
    const { smallestKey } = left;
    this.#stack.push({ hash: this.#digest(), height, size, version, smallestKey });
  }

  /** The root hash. @throws {VerificationError} `STATE_SYNC_DAMAGED` if nodes are missing */
  finish(): Buffer {
    if (this.#stack.length > 1) {
      damaged('nodes of a store are missing', {
        path: this.#where,
        expected: 'one tree',
        found: `${String(this.#stack.length)} trees`,
      });
    }
    return this.#stack[0]?.hash ?? EMPTY_TREE_HASH;
  }

  #begin(height: number, size: number, version: number, moreBytes: number): void {
    this.#length = 0;
    const atMost = moreBytes + 64;
    if (this.#preimage.length < atMost) this.#preimage = Buffer.alloc(2 * atMost);
    // Go's signed varint of what is never negative: twice the number.
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

  #putBytes(bytes: Uint8Array): void {
    this.#preimage.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #putHash(bytes: Buffer): void {
    this.#preimage[this.#length] = HASH_BYTES;
    this.#length += 1;
    this.#putBytes(bytes);
  }

  #digest(): Buffer {
    return sha256(this.#preimage.subarray(0, this.#length));
  }

  #refuse(
    message: string,
    node: IavlNode,
    expected?: string | number,
    found?: string | number,
  ): never {
    return damaged(message, {
      path: `${this.#where}, node ${String(this.nodes)}, key ${hex(node.key)}`,
      expected,
      found,
    });
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}

function hex(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, 32)).toString('hex');
  return bytes.length > 32 ? `${text}…` : text;
}
