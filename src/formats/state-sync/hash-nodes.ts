/** Hashes nodes of a tree in whatever thread, and takes out of them what is wanted beside their hashes. */
import { workerTask } from '../../io/worker-pool/task.ts';
import type { ExportEntry } from '../../swing-store-export/records.ts';
import { codeHashOf } from './code-hashes.ts';
import { decodeNode } from './decode-item.ts';
import { entryOf, isExportData, lineOf } from './export-data-leaf.ts';
import { asBuffer, IavlHasher, type ReadNode, type TreePart } from './iavl.ts';
import { nodeAtHand } from './node-at-hand.ts';

const NEWLINE = 0x0a;
/** Of lines: mostly a little more than the nodes have that they come from. */
const ROOM_BYTES = 1.5 * 1024 * 1024;

export interface NodesToHash {
  /** Holds messages of nodes, each with its length before it: from `start` to `end`. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Where lines are put as far as they fit. */
  readonly room: Uint8Array | undefined;
  /** How many nodes of the tree come before. */
  readonly before: number;
  /** Names the store in errors. */
  readonly where: string;
  readonly maxVersion: number;
  /** What is taken out of the leaves. */
  readonly wanted: 'export data' | 'code hashes' | undefined;
}

export interface HashedNodes {
  readonly part: TreePart;
  /** Has the lines of the `kv.` entries, whole lines, in its first `linesSize` bytes. */
  readonly room: Uint8Array | undefined;
  readonly linesSize: number;
  /** How many there are. */
  readonly kvEntries: number;
  /** The first key of a `kv.` entry that belongs to the host. */
  readonly hostKey: string | undefined;
  /** The other entries. */
  readonly records: readonly ExportEntry[];
  /** Code hashes, as hex. */
  readonly codes: readonly string[];
}

/** @throws {VerificationError} `STATE_SYNC_DAMAGED`, `LINE_TOO_LONG` */
export function hashNodes(nodes: NodesToHash): HashedNodes {
  const { start, end, before, where, maxVersion, wanted } = nodes;
  const tree = new IavlHasher(where, maxVersion, before);
  const lines = new LineBuffer(nodes.room);
  const records: ExportEntry[] = [];
  const codes: string[] = [];
  let hostKey: string | undefined;
  for (const node of nodesIn(nodes.bytes.subarray(start, end), where)) {
    tree.addRead(node);
    if (wanted === 'export data' && isExportData(node)) {
      const [key, value] = entryOf(node, where);
      if (!key.startsWith('kv.')) records.push([key, value]);
      else {
        if (key.startsWith('kv.host.')) hostKey ??= key;
        lines.add(lineOf(key, value));
      }
    }
    const code = wanted === 'code hashes' ? codeHashOf(node, where) : undefined;
    if (code !== undefined) codes.push(code);
  }
  return {
    part: tree.part(),
    room: lines.bytes,
    linesSize: lines.size,
    kvEntries: lines.count,
    hostKey,
    records,
    codes,
  };
}

/** Lines one after the other, in a buffer that grows. */
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
    // Of a character, UTF-8 has three bytes at most for each unit of UTF-16.
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

/** {@link hashNodes} as a task for a worker. */
export const hashingNodes = workerTask(import.meta.url, hashNodes);

/**
 * The nodes in messages of nodes; their values are views of the bytes.
 * @param where names them in errors
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` for a message that is no node
 */
export function* nodesIn(bytes: Uint8Array, where: string): Generator<ReadNode> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < buffer.length;) {
    // Whoever has cut the messages has read these lengths before.
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
