/** Hashes nodes of a tree, in any thread, and extracts the wanted content of their leaves. */
import { workerTask } from '../../../io/threads/task.ts';
import type { ExportEntry } from '../../../swing-store-export/export-data/records.ts';
import { damaged } from '../layout.ts';
import { decodeNode } from '../stream/decode-item.ts';
import type { LargeLeaf } from '../stream/large-leaf.ts';
import { asBuffer, type ByteString, type ReadNode } from '../stream/node.ts';
import { codeHashOf, isCode } from './code-hashes.ts';
import { entryOf, isExportData, lineOf, MAX_VALUE_BYTES } from './export-data-leaf.ts';
import { IavlHasher, type TreePart } from './iavl.ts';
import { nodeAtHand } from './node-at-hand.ts';

const NEWLINE = 0x0a;
/** Size of a buffer for lines: usually a little larger than the nodes that the lines come from. */
const ROOM_BYTES = 1.5 * 1024 * 1024;

/** How to hash the nodes of a store. */
export interface HashingOptions {
  /** Number of nodes of the tree before these. */
  readonly before: number;
  /** Names the store in errors. */
  readonly where: string;
  readonly maxVersion: number;
  /** What to extract from the leaves. */
  readonly wanted: 'export data' | 'code hashes' | undefined;
}

export interface NodesToHash extends HashingOptions {
  /** Holds length-prefixed messages of nodes, from `start` to `end`. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Receives the lines, if they fit. */
  readonly room: Uint8Array | undefined;
}

export interface HashedNodes {
  readonly part: TreePart;
  /** Holds the whole lines of the `kv.` entries in its first `linesSize` bytes. */
  readonly room: Uint8Array | undefined;
  readonly linesSize: number;
  /** Number of `kv.` entries. */
  readonly kvEntries: number;
  /** The first key of a `kv.` entry that belongs to the host. */
  readonly hostKey: string | undefined;
  /** The other entries. */
  readonly records: readonly ExportEntry[];
  /** Code hashes, as hex. */
  readonly codes: readonly string[];
}

/** @throws {VerificationError} `STATE_SYNC_DAMAGED` */
export function hashNodes(nodes: NodesToHash): HashedNodes {
  const { start, end, before, where, maxVersion } = nodes;
  const tree = new IavlHasher(where, maxVersion, before);
  const found = new Findings(nodes, nodes.room);
  for (const node of nodesIn(nodes.bytes.subarray(start, end), where)) {
    tree.addRead(node);
    found.take(node);
  }
  return found.with(tree.part());
}

/** {@link hashNodes} for a leaf whose value was hashed while it was read. */
export function hashLargeLeaf(leaf: LargeLeaf, options: HashingOptions): HashedNodes {
  const { key, valueHash, version, size, head } = leaf;
  const { before, where, maxVersion } = options;
  const tree = new IavlHasher(where, maxVersion, before);
  tree.addHashed(key, valueHash, version);
  const found = new Findings(options, undefined);
  if (size <= head.length || options.wanted === 'code hashes') {
    found.take({ key, value: head, version, height: 0 });
  } else if (wantedOf(key, options) > 0) {
    damaged('an entry of the export data is too long', {
      path: where,
      expected: `at most ${MAX_VALUE_BYTES} bytes`,
      found: `${size} bytes`,
    });
  }
  return found.with(tree.part());
}

/** Size of the beginning of a code, which holds its hash. */
const CODE_HEAD_BYTES = 64;

/** Number of bytes to keep from the beginning of a leaf's value. */
export function wantedOf(key: ByteString, { wanted }: Pick<HashingOptions, 'wanted'>): number {
  if (wanted === 'export data' && isExportData({ key, height: 0 })) return MAX_VALUE_BYTES;
  return wanted === 'code hashes' && isCode({ key, height: 0 }) ? CODE_HEAD_BYTES : 0;
}

/** Content extracted from leaves. */
class Findings {
  readonly #options: HashingOptions;
  readonly #lines: LineBuffer;
  readonly #records: ExportEntry[] = [];
  readonly #codes: string[] = [];
  #hostKey: string | undefined;

  constructor(options: HashingOptions, room: Uint8Array | undefined) {
    this.#options = options;
    this.#lines = new LineBuffer(room);
  }

  take(node: ReadNode): void {
    const { wanted, where } = this.#options;
    if (wanted === 'export data' && isExportData(node)) {
      const [key, value] = entryOf(node, where);
      if (!key.startsWith('kv.')) this.#records.push([key, value]);
      else {
        if (key.startsWith('kv.host.')) this.#hostKey ??= key;
        this.#lines.add(lineOf([key, value], where));
      }
    }
    if (wanted === 'code hashes' && isCode(node)) this.#codes.push(codeHashOf(node, where));
  }

  with(part: TreePart): HashedNodes {
    return {
      part,
      room: this.#lines.bytes,
      linesSize: this.#lines.size,
      kvEntries: this.#lines.count,
      hostKey: this.#hostKey,
      records: this.#records,
      codes: this.#codes,
    };
  }
}

/** Appends lines to a buffer that grows. */
class LineBuffer {
  #bytes: Buffer | undefined;
  size = 0;
  count = 0;

  constructor(room: Uint8Array | undefined) {
    this.#bytes = room && asBuffer(room);
  }

  get bytes(): Uint8Array | undefined {
    return this.#bytes;
  }

  /** @param line without its newline */
  add(line: string): void {
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    const most = this.size + 3 * line.length + 1;
    let bytes = this.#bytes;
    if (bytes === undefined || bytes.length < most) {
      const more = Buffer.allocUnsafeSlow(Math.max(most, 2 * (bytes?.length ?? ROOM_BYTES / 2)));
      bytes?.copy(more, 0, 0, this.size);
      bytes = more;
    }
    this.size += bytes.write(line, this.size);
    bytes[this.size] = NEWLINE;
    this.size += 1;
    this.count += 1;
    this.#bytes = bytes;
  }
}

/** {@link hashNodes} as a worker task. */
export const hashingNodes = workerTask(import.meta.url, hashNodes);

/**
 * The nodes in length-prefixed messages. Their values are views of the bytes.
 * @param where names the messages in errors
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` for a message that is not a node
 */
export function* nodesIn(bytes: Uint8Array, where: string): Generator<ReadNode> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < buffer.length;) {
    // The item reader checked these lengths when it cut the messages.
    let length = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = buffer[at] ?? 0;
      at += 1;
      length += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
    }
    const end = at + length;
    yield nodeAtHand(buffer, at, end) ?? decodeNode(buffer.subarray(at, end), where);
    at = end;
  }
}
