/**
 * The items of a state-sync snapshot: its chunks make one zlib stream, which holds one protobuf message after the
 * other, each with its length before it.
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
/** Of the message of a node. */
const MAX_NODE_BYTES = 1_000_000_000;
/** Of what has nothing in it but a name and a number. */
const MAX_OTHER_BYTES = 64 * 1024;
/** Of a payload. */
const MAX_PAYLOAD_BYTES = 2 * 2 ** 30;

/** Fields of `SnapshotItem`. */
const [NODE, PAYLOAD] = [2, 4];
const PAYLOAD_TAG = PAYLOAD * 8 + 2;
const NODE_TAG = NODE * 8 + 2;
const PAYLOAD_FIELD_TAG = 1 * 8 + 2;
/** Is copied rather than kept together with a large buffer. */
const LITTLE_BYTES = 64 * 1024;
const NO_BYTES: Buffer = Buffer.alloc(0);

/** Messages of nodes, each with its length before it. */
export interface NodeBlock {
  readonly bytes: Buffer;
  /** How many there are. */
  readonly count: number;
  /** Whether the whole buffer behind the bytes may be given away: nobody else looks at it any more. */
  readonly isOwn: boolean;
}

export interface ItemReaderOptions {
  /** Ends the reading with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Given the bytes of all stores and nodes as they are in the stream, lengths included; they do not change. */
  readonly copy?: ((bytes: Buffer) => Promise<void>);
}

export class ItemReader {
  readonly #location: string;
  readonly #options: ItemReaderOptions;
  readonly #pieces: AsyncGenerator<Buffer>;
  readonly #limit: ExpansionLimit;
  /** Bytes behind the end of the stream, once that was reached. */
  bytesBehind = 0;
  #buffer: Buffer = NO_BYTES;
  #at = 0;
  /** Where the message at hand begins. */
  #start = 0;
  #items = 0;
  /** Bytes of the payload that were not read yet. */
  #left = 0;
  /** Bytes that varints have taken so far. */
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

  /** Where it is, for errors. */
  get where(): string {
    return `${this.#location}: item ${this.#items}`;
  }

  /**
   * Gives nodes to `take`, as the bytes of one or more messages with their lengths, until another item comes. What is in
   * them is for `nodesIn` to judge. A leaf that is too large for that is hashed instead.
   * @param wanted how many bytes of the value of such a leaf are wanted all the same
   * @returns that item, or undefined at the end of the stream
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

  /** Passes the nodes of which all is in the buffer, and counts them. */
  #passNodes(): number {
    for (let count = 0; ; count += 1) {
      const end = this.#endOfMessage();
      if (end === undefined || this.#buffer[this.#start] !== NODE_TAG) return count;
      this.#items += 1;
      this.#at = end;
    }
  }

  /**
   * Goes on without the buffer at hand, where it is nobody else's and all but a little of it is done with.
   * @returns whether it does
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
   * Where the next message ends if all of it is in the buffer: nearly always, and without a promise. It begins at
   * `#start`.
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

  /** What `SnapshotExtensionPayload { bytes payload }` says of its size. */
  async #payload(length: number): Promise<OtherItem> {
    const start = this.#taken;
    await this.#varint();
    const body = await this.#varint();
    const bodyStart = this.#taken;
    let size = 0;
    if (body > 0) {
      if ((await this.#varint()) !== PAYLOAD_FIELD_TAG) {
        damaged('a payload holds a field that it cannot have', { path: this.where });
      }
      size = await this.#varint();
    }
    const end = this.#taken;
    const fits = bodyStart - start + body === length && end - bodyStart + size === body;
    if (!fits || (body > 0 && size === 0) || size > MAX_PAYLOAD_BYTES) {
      damaged('a payload has a length that it cannot have', {
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

  /** Exactly so many of the next bytes of the payload, in a buffer of their own. */
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

  /** Notes that so many bytes were compressed in a payload: they count as bytes of the stream. */
  noteExpanded(bytes: number): void {
    this.#limit.give(bytes);
  }

  /** Leaves what is left of the payload. */
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
    return damaged('a length is too large, or longer than it need be', { path: this.where });
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

  /** The message of so many bytes, with its length before it, in one piece. */
  async #message(length: number): Promise<Buffer> {
    // What was promised is not allocated before it is there.
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

  /** So many of the next bytes, in pieces. */
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
