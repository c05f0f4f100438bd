/**
 * Fast path for a `SnapshotItem { SnapshotIAVLItem }` that is wholly in the buffer and in the encoding of the Cosmos
 * SDK. Nearly every item of a snapshot is. It reports no errors: the strict reader handles all other items.
 */
import type { ReadNode } from '../stream/node.ts';

const [NODE_TAG, KEY_TAG, VALUE_TAG, VERSION_TAG, HEIGHT_TAG] = [0x12, 0x0a, 0x12, 0x18, 0x20];
const NO_BYTES: Buffer = Buffer.alloc(0);

/** A position in a buffer. */
class Cursor {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;

  takes(tag: number | undefined): boolean {
    if (this.at >= this.end || this.bytes[this.at] !== tag) return false;
    this.at += 1;
    return true;
  }

  /** A positive varint in its shortest encoding; 0 for anything else. */
  positive(): number {
    let value = 0;
    for (let factor = 1; factor <= 128 ** 6 && this.at < this.end; factor *= 128) {
      const byte = this.bytes[this.at] ?? 0;
      this.at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return byte === 0 ? 0 : value;
    }
    return 0;
  }
}

// Shared by all calls: it is never in use across an await.
const cursor = new Cursor();

/**
 * The node in the message from `at` to `end`, with a view of its value.
 * @returns undefined for another item, or an unusual encoding
 */
export function nodeAtHand(bytes: Buffer, at: number, end: number): ReadNode | undefined {
  cursor.bytes = bytes;
  cursor.at = at;
  cursor.end = end;
  if (!cursor.takes(NODE_TAG)) return undefined;
  const length = cursor.positive();
  if (length === 0 || length !== end - cursor.at || !cursor.takes(KEY_TAG)) return undefined;
  const keySize = cursor.positive();
  if (keySize === 0 || keySize > end - cursor.at) return undefined;
  const key = bytes.toString('latin1', cursor.at, cursor.at + keySize);
  cursor.at += keySize;
  let value = NO_BYTES;
  if (cursor.takes(VALUE_TAG)) {
    const valueSize = cursor.positive();
    if (valueSize === 0 || valueSize > end - cursor.at) return undefined;
    value = bytes.subarray(cursor.at, cursor.at + valueSize);
    cursor.at += valueSize;
  }
  if (!cursor.takes(VERSION_TAG)) return undefined;
  const version = cursor.positive();
  if (version === 0) return undefined;
  let height = 0;
  if (cursor.takes(HEIGHT_TAG)) {
    height = cursor.positive();
    if (height === 0) return undefined;
  }
  return cursor.at === end ? { key, value, version, height } : undefined;
}
