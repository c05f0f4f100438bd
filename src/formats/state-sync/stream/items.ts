/**
 * Reads the items of a state-sync snapshot: its chunks form one zlib stream of length-prefixed protobuf messages.
 *
 * Sources: cosmos-sdk `snapshots/stream.go`, `proto/cosmos/store/snapshots/v1/snapshot.proto`.
 */
import type { ExpansionLimit } from '../../../io/bytes/expansion-limit.ts';
import { WHOLE_MAX_BYTES } from '../../../swing-store-export/swing-store-export.ts';
import { damaged } from '../layout.ts';
import { decodeItem, type OtherItem } from './decode-item.ts';
import { uvarint } from './encode-item.ts';
import { streamLimit } from './expansion.ts';
import { inflate } from './inflate.ts';
import { LARGE_NODE_BYTES, readLargeLeaf, type LargeLeaf } from './large-leaf.ts';
import type { ByteString } from './node.ts';

const PIECE_BYTES = 1024 * 1024;
const MAX_NODE_BYTES = 1_000_000_000;
/** Limit of a message that holds only a name and a number. */
const MAX_OTHER_BYTES = 64 * 1024;
const MAX_PAYLOAD_BYTES = 2 * 2 ** 30;

/** Fields of `SnapshotItem`. */
const [NODE, PAYLOAD] = [2, 4];
const PAYLOAD_TAG = PAYLOAD * 8 + 2;
const NODE_TAG = NODE * 8 + 2;
const PAYLOAD_FIELD_TAG = 1 * 8 + 2;
/** If no more than this is left of a large buffer, it is copied, so that the buffer can be freed. */
const LITTLE_BYTES = 64 * 1024;
const NO_BYTES: Buffer = Buffer.alloc(0);

/** Length-prefixed messages of nodes. */
export interface NodeBlock {
  readonly bytes: Buffer;
  /** Number of nodes. */
  readonly count: number;
  /** Whether the whole underlying buffer may be transferred: nothing else uses it any more. */
  readonly isOwn: boolean;
}

export interface ItemReaderOptions {
  /** Stops reading; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the raw bytes of all stores and nodes, including length prefixes. The bytes do not change afterwards. */
  readonly copy?: (bytes: Buffer) => Promise<void>;
}

export class ItemReader {
  readonly #location: string;
  readonly #options: ItemReaderOptions;
  readonly #pieces: AsyncGenerator<Buffer>;
  readonly #limit: ExpansionLimit;
  /** Number of bytes after the end of the stream; 0 until the reader reaches that end. */
  bytesBehind = 0;
  #buffer: Buffer = NO_BYTES;
  #at = 0;
  /** Start of the current message. */
  #start = 0;
  #items = 0;
  /** Unread bytes of the payload. */
  #left = 0;
  /** Bytes of all varints so far. */
  #taken = 0;

  /**
   * @param chunks the bytes of all chunks; hostile
   * @param location names the snapshot in errors
   */
  constructor(
    chunks: AsyncIterable<Uint8Array>,
    location: string,
    options: ItemReaderOptions = {},
  ) {
    this.#location = location;
    this.#options = options;
    this.#limit = streamLimit(location);
    this.#pieces = inflate(chunks, location, this.#limit, (bytes) => {
      this.bytesBehind = bytes;
    });
  }

  /** Current position, for errors. */
  get where(): string {
    return `${this.#location}: item ${this.#items}`;
  }

  /**
   * Passes nodes to `take`, as one or more length-prefixed messages, until it meets another item. `nodesIn` checks
   * their content. A leaf that is too large to pass on is hashed here.
   * @param wanted number of bytes to keep from the beginning of a large leaf's value
   * @returns the other item, or undefined at the end of the stream
   * @throws {VerificationError} `STATE_SYNC_DAMAGED`
   */
  async next(
    take: (nodes: NodeBlock | LargeLeaf) => Promise<void> | void,
    wanted: (key: ByteString) => number = () => 0,
  ): Promise<OtherItem | undefined> {
    const { copy } = this.#options;
    await this.skip();
    for (;;) {
      const start = this.#at;
      const count = this.#passNodes();
      if (count > 0) {
        const bytes = this.#buffer.subarray(start, this.#at);
        await copy?.(bytes);
        await take({ bytes, count, isOwn: copy === undefined && this.#letGo() });
      }
      if (this.#at >= this.#buffer.length && !(await this.#more())) return undefined;
      this.#items += 1;
      const length = await this.#varint();
      const tag = await this.#peek();
      if (tag === PAYLOAD_TAG) return this.#payload(length);
      this.#refuseLong(length, tag === NODE_TAG ? MAX_NODE_BYTES : MAX_OTHER_BYTES);
      if (length > LARGE_NODE_BYTES) {
        await take(await this.#largeLeaf(length, wanted));
        continue;
      }
      const bytes = await this.#message(length);
      if (tag !== NODE_TAG) {
        const message = bytes.subarray(bytes.length - length);
        const item = decodeItem(message, this.where);
        if (item.kind === 'store') await copy?.(bytes);
        return item;
      }
      await copy?.(bytes);
      await take({ bytes, count: 1, isOwn: false });
    }
  }

  /** Skips the nodes that are wholly in the buffer, and counts them. */
  #passNodes(): number {
    for (let count = 0; ; count += 1) {
      const end = this.#endOfMessage();
      if (end === undefined || this.#buffer[this.#start] !== NODE_TAG) return count;
      this.#items += 1;
      this.#at = end;
    }
  }

  /**
   * Releases the current buffer if nothing else uses it and it is nearly used up.
   * @returns whether it was released
   */
  #letGo(): boolean {
    const rest = this.#buffer.subarray(this.#at);
    const { length, buffer } = this.#buffer;
    if (length !== buffer.byteLength || rest.length > LITTLE_BYTES) return false;
    this.#buffer = Buffer.from(rest);
    this.#at = 0;
    return true;
  }

  /**
   * End of the next message, which begins at `#start`; undefined if the message is not wholly in the buffer. It usually
   * is, and then no promise is needed.
   */
  #endOfMessage(): number | undefined {
    let at = this.#at;
    let length = 0;
    for (let factor = 1; factor <= 128 ** 3; factor *= 128) {
      const byte = this.#buffer[at];
      if (byte === undefined) return undefined;
      at += 1;
      length += (byte & 0x7f) * factor;
      if (byte >= 0x80) continue;
      this.#start = at;
      const isAtHand = length <= this.#buffer.length - at && (byte > 0 || factor === 1);
      return isAtHand ? at + length : undefined;
    }
    return undefined;
  }

  /** Reads the size in `SnapshotExtensionPayload { bytes payload }`. */
  async #payload(length: number): Promise<OtherItem> {
    const start = this.#taken;
    await this.#varint();
    const body = await this.#varint();
    const bodyStart = this.#taken;
    let size = 0;
    if (body > 0) {
      if ((await this.#varint()) !== PAYLOAD_FIELD_TAG) {
        damaged('a payload holds an invalid field', { path: this.where });
      }
      size = await this.#varint();
    }
    const end = this.#taken;
    const fits = bodyStart - start + body === length && end - bodyStart + size === body;
    if (!fits || (body > 0 && size === 0) || size > MAX_PAYLOAD_BYTES) {
      damaged('a payload has an invalid length', {
        path: this.where,
        expected: `${length} bytes`,
        found: `${size} bytes`,
      });
    }
    this.#left = size;
    return { kind: 'payload', size };
  }

  /** The next bytes of the payload, at most `limit` of them; undefined at its end. */
  async read(limit = PIECE_BYTES): Promise<Uint8Array | undefined> {
    if (this.#left === 0) return undefined;
    if (this.#at >= this.#buffer.length && !(await this.#more())) this.#endsEarly();
    const size = Math.min(limit, this.#left, this.#buffer.length - this.#at);
    this.#at += size;
    this.#left -= size;
    return this.#buffer.subarray(this.#at - size, this.#at);
  }

  /** The next `size` bytes of the payload, all of them, in their own buffer. */
  async readWhole(size: number): Promise<Uint8Array> {
    if (size > this.#left || size > WHOLE_MAX_BYTES) this.#endsEarly();
    const whole = Buffer.allocUnsafeSlow(size);
    for (let at = 0; at < size;) {
      const piece = await this.read(size - at);
      if (piece === undefined) this.#endsEarly();
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  /** Counts bytes that were unpacked from a payload towards the expansion limit of the stream. */
  noteExpanded(bytes: number): void {
    this.#limit.give(bytes);
  }

  /** Skips the rest of the payload. */
  async skip(): Promise<void> {
    while ((await this.read()) !== undefined);
  }

  async close(): Promise<void> {
    await this.#pieces.return(undefined);
  }

  async #varint(): Promise<number> {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 8; count += 1) {
      const byte = await this.#peek();
      this.#at += 1;
      this.#taken += 1;
      value += (byte & 0x7f) * factor;
      factor *= 128;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER || (byte === 0 && count > 0)) break;
        return value;
      }
    }
    return damaged('a length is too large, or not in its shortest encoding', { path: this.where });
  }

  async #peek(): Promise<number> {
    if (this.#at >= this.#buffer.length && !(await this.#more())) this.#endsEarly();
    return this.#buffer[this.#at] ?? 0;
  }

  #refuseLong(length: number, most: number): void {
    if (length <= most) return;
    damaged('an item is too large', {
      path: this.where,
      expected: `at most ${most} bytes`,
      found: length,
    });
  }

  /** The next message of `length` bytes, with its length prefix, in one buffer. */
  async #message(length: number): Promise<Buffer> {
    // The length is hostile: allocate only for bytes that have been read.
    const pieces: Buffer[] = [uvarint(length)];
    for await (const piece of this.#next(length)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async #largeLeaf(length: number, wanted: (key: ByteString) => number): Promise<LargeLeaf> {
    const bytes = {
      varint: async () => this.#varint(),
      pieces: (size: number) => this.#next(size),
    };
    const { copy } = this.#options;
    return readLargeLeaf(bytes, length, { where: this.where, wanted, copy });
  }

  /** The next `size` bytes, in pieces. */
  async *#next(size: number): AsyncGenerator<Buffer> {
    for (let left = size; left > 0;) {
      if (this.#at >= this.#buffer.length && !(await this.#more())) this.#endsEarly();
      const piece = this.#buffer.subarray(this.#at, this.#at + left);
      this.#at += piece.length;
      left -= piece.length;
      yield piece;
    }
  }

  async #more(): Promise<boolean> {
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const next = await this.#pieces.next();
      if (next.done === true) return false;
      this.#buffer = next.value;
      this.#at = 0;
      if (next.value.length > 0) return true;
    }
  }

  #endsEarly(): never {
    return damaged('the stream ends in the middle of an item', { path: this.where });
  }
}
