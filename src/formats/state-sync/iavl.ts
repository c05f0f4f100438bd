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

/**
 * Bytes as a string of Latin-1 characters, which compare as the bytes do. Of a few dozen bytes it is made, compared and
 * hashed in a third of the time that a buffer takes, and a tree has three hashes for each leaf.
 */
type ByteString = string;

interface Subtree {
  readonly hash: ByteString;
  readonly height: number;
  /** Number of leaves. */
  readonly size: number;
  readonly version: number;
  readonly smallestKey: ByteString;
}

const HASH_BYTES = 32;

/** Of an AVL tree: more leaves than there are bytes in the world need no more. */
const MAX_HEIGHT = 127;
/** Eight times what the Cosmos SDK takes as a key. One for each level of a tree is in memory. */
const MAX_KEY_BYTES = 1024 * 1024;
/** Views of shorter preimages are kept: to make one takes as long as to hash it. */
const MAX_KEPT_VIEW = 256;

export class IavlHasher {
  readonly #where: string;
  readonly #maxVersion: number;
  readonly #stack: Subtree[] = [];
  #lastKey: ByteString = '';
  #preimage = Buffer.alloc(4096);
  #views: (Buffer | undefined)[] = [];
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
    const key = bytesOf(node.key);
    // Also of the first: an empty key is above none.
    if (key <= this.#lastKey) {
      this.#refuse(
        'the keys of a store do not ascend',
        node,
        `a key above ${hex(this.#lastKey)}`,
        hex(key),
      );
    }
    if (key.length > MAX_KEY_BYTES || this.#stack.length > MAX_HEIGHT) {
      this.#refuse('a key is too long, or nodes between the leaves are missing', node);
    }
    this.#lastKey = key;
    this.leaves += 1;
    this.#begin(0, 1, version, key.length + 2 * HASH_BYTES);
    this.#putUvarint(key.length);
    this.#put(key);
    this.#putHash(sha256(value));
    this.#stack.push({ hash: this.#digest(), height: 0, size: 1, version, smallestKey: key });
  }

  #addInner(node: IavlNode): void {
    const right = this.#stack.pop();
    const left = this.#stack.pop();
    if (left === undefined || right === undefined)
      this.#refuse('an inner node has no two children', node);
    const { key, value, version, height } = node;
    const higher = Math.max(left.height, right.height);
    if (height !== higher + 1 || Math.abs(left.height - right.height) > 1) {
      this.#refuse('the tree is not balanced', node, higher + 1, height);
    }
    if (value.length > 0) this.#refuse('an inner node has a value', node);
    if (version < left.version || version < right.version) {
      this.#refuse('an inner node is older than its children', node);
    }
    // The hash does not cover it.
    if (bytesOf(key) !== right.smallestKey) {
      this.#refuse(
        'an inner node has another key than its right side',
        node,
        hex(right.smallestKey),
        hex(bytesOf(key)),
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
    const [root] = this.#stack;
    return root === undefined ? EMPTY_TREE_HASH : Buffer.from(root.hash, 'latin1');
  }

  #begin(height: number, size: number, version: number, moreBytes: number): void {
    this.#length = 0;
    const atMost = moreBytes + 64;
    if (this.#preimage.length < atMost) {
      this.#preimage = Buffer.alloc(2 * atMost);
      this.#views = [];
    }
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
    node: IavlNode,
    expected?: string | number,
    found?: string | number,
  ): never {
    return damaged(message, {
      path: `${this.#where}, node ${String(this.nodes)}, key ${hex(bytesOf(node.key))}`,
      expected,
      found,
    });
  }
}

function sha256(bytes: Uint8Array): ByteString {
  return hash('sha256', bytes, 'binary');
}

function bytesOf(bytes: Uint8Array): ByteString {
  return asBuffer(bytes).toString('latin1');
}

/** The bytes themselves, not a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function hex(bytes: ByteString): string {
  const text = Buffer.from(bytes.slice(0, 32), 'latin1').toString('hex');
  return bytes.length > 32 ? `${text}…` : text;
}
