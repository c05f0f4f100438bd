/**
 * Reads a leaf that is too large for memory, and hashes its value piece by piece. Such leaves are rare, but cheap to
 * forge: a gigabyte of zeros takes a megabyte in a snapshot, and ten kilobytes in an archive of that snapshot.
 */
import { createHash } from 'node:crypto';
import { damaged } from '../layout.ts';
import { decodeNodeBody } from './decode-item.ts';
import { uvarint } from './encode-item.ts';
import { bytesOf, MAX_KEY_BYTES, type ByteString } from './node.ts';

/** Node messages above this size are read here. No inner node and no key is this large. */
export const LARGE_NODE_BYTES = 2 * MAX_KEY_BYTES;

const [NODE_TAG, KEY_TAG, VALUE_TAG] = [0x12, 0x0a, 0x12];
/** Version and height, each with its tag. */
const MAX_REST_BYTES = 32;

export interface LargeLeaf {
  readonly key: ByteString;
  readonly version: number;
  /** SHA-256 of the value. */
  readonly valueHash: ByteString;
  /** Size of the value in bytes. */
  readonly size: number;
  /** The first bytes of the value, as many as wanted. */
  readonly head: Buffer;
}

/** The rest of a message. */
export interface MessageBytes {
  varint(): Promise<number>;
  /** The next bytes, in pieces. */
  pieces(size: number): AsyncIterable<Buffer>;
}

export interface ReadLargeLeafOptions {
  /** Names the item in errors. */
  readonly where: string;
  /** Number of bytes of a value to keep. */
  readonly wanted: (key: ByteString) => number;
  /** Receives all bytes of the message, with its length prefix. */
  readonly copy?: ((bytes: Buffer) => Promise<void>) | undefined;
}

/**
 * Reads a large node.
 * @param length of its message
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` if it is not a leaf with a large value
 */
export async function readLargeLeaf(
  bytes: MessageBytes,
  length: number,
  { where, wanted, copy }: ReadLargeLeafOptions,
): Promise<LargeLeaf> {
  let left = length;
  const varint = async (): Promise<number> => {
    const value = await bytes.varint();
    left -= uvarint(value).length;
    return value;
  };
  const refuse = (): never => damaged('a node is too large, or malformed', { path: where });
  const tag = async (expected: number): Promise<void> => {
    if ((await varint()) !== expected) refuse();
  };
  await tag(NODE_TAG);
  const body = await varint();
  if (body !== left) refuse();
  await tag(KEY_TAG);
  const keySize = await varint();
  if (keySize > MAX_KEY_BYTES) damaged('a key is too long', { path: where, found: keySize });
  const key = await joined(bytes.pieces(keySize));
  left -= keySize;
  await tag(VALUE_TAG);
  const size = await varint();
  left -= size;
  if (left < 0 || left > MAX_REST_BYTES) refuse();
  const head = [uvarint(length), Buffer.of(NODE_TAG), uvarint(body), keyField(key)];
  await copy?.(Buffer.concat([...head, Buffer.of(VALUE_TAG), uvarint(size)]));
  const value = await readValue(bytes.pieces(size), wanted(bytesOf(key)), copy);
  const rest = await joined(bytes.pieces(left));
  await copy?.(rest);
  const node = decodeNodeBody(Buffer.concat([keyField(key), rest]), where);
  if (node.height > 0) damaged('an inner node has a value', { path: where });
  // A second value field: each field may appear only once.
  if (node.value.length > 0) refuse();
  return { key: node.key, version: node.version, size, ...value };
}

function keyField(key: Buffer): Buffer {
  return Buffer.concat([Buffer.of(KEY_TAG), uvarint(key.length), key]);
}

/** Hashes a value and keeps its first `wanted` bytes. */
async function readValue(
  pieces: AsyncIterable<Buffer>,
  wanted: number,
  copy: ReadLargeLeafOptions['copy'],
): Promise<Pick<LargeLeaf, 'head' | 'valueHash'>> {
  const hash = createHash('sha256');
  const kept: Buffer[] = [];
  let left = wanted;
  for await (const piece of pieces) {
    hash.update(piece);
    if (left > 0) kept.push(Buffer.from(piece.subarray(0, left)));
    left -= Math.min(left, piece.length);
    await copy?.(piece);
  }
  return { head: Buffer.concat(kept), valueHash: hash.digest('binary') };
}

async function joined(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
