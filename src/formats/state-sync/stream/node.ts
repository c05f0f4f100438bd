/** Nodes of IAVL trees in the stream. */

/** An exported node. A leaf has height 0 and a value, which may be empty. */
export interface IavlNode {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: number;
  readonly height: number;
}

/** A node from the stream. Its key is a Latin-1 string because it is used several times. */
export interface ReadNode extends Omit<IavlNode, 'key'> {
  readonly key: ByteString;
}

/**
 * Bytes as a Latin-1 string, which sorts as the bytes do. For a few dozen bytes, a string takes a third of the time of
 * a buffer to make, compare and hash, and a tree has three hashes for each leaf.
 */
export type ByteString = string;

/** Eight times the key limit of the Cosmos SDK. One key per level of the tree is in memory. */
export const MAX_KEY_BYTES = 1024 * 1024;

export function bytesOf(bytes: Uint8Array): ByteString {
  return asBuffer(bytes).toString('latin1');
}

/** A view of the bytes, not a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
