/** Nodes of IAVL trees, as they stand in the stream. */

/** An exported node. A leaf has height 0 and a value, which may be empty. */
export interface IavlNode {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: number;
  readonly height: number;
}

/** A node as it is read: its key is text of Latin-1, of which there is need several times. */
export interface ReadNode extends Omit<IavlNode, 'key'> {
  readonly key: ByteString;
}

/**
 * Bytes as a string of Latin-1 characters, which compare as the bytes do. Of a few dozen bytes it is made, compared and
 * hashed in a third of the time that a buffer takes, and a tree has three hashes for each leaf.
 */
export type ByteString = string;

/** Eight times what the Cosmos SDK takes as a key. One for each level of a tree is in memory. */
export const MAX_KEY_BYTES = 1024 * 1024;

export function bytesOf(bytes: Uint8Array): ByteString {
  return asBuffer(bytes).toString('latin1');
}

/** The bytes themselves, not a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
