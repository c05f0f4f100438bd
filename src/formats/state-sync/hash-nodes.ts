/** Hashes nodes of a tree in whatever thread, and takes out of them what is wanted beside their hashes. */
import { blockOfLines } from '../../io/lines.ts';
import { workerTask } from '../../io/worker-pool/task.ts';
import type { ExportEntry } from '../../swing-store-export/records.ts';
import { codeHashOf } from './code-hashes.ts';
import { decodeNode } from './decode-item.ts';
import { entryOf, isExportData, lineOf } from './export-data-leaf.ts';
import { IavlHasher, type ReadNode, type TreePart } from './iavl.ts';
import { nodeAtHand } from './node-at-hand.ts';

export interface NodesToHash {
  /** Messages of nodes, each with its length before it, and something behind them. */
  readonly bytes: Uint8Array;
  /** Bytes of the messages. */
  readonly size: number;
  /** How many nodes of the tree come before. */
  readonly before: number;
  /** Names the store in errors. */
  readonly where: string;
  readonly maxVersion: number;
  /** What is taken out of the leaves. */
  readonly wanted: 'export data' | 'code hashes' | undefined;
}

export interface HashedNodes {
  /** Those that were given, to be used again. */
  readonly bytes: Uint8Array;
  readonly part: TreePart;
  /** Lines of the `kv.` entries, whole lines. */
  readonly lines: Uint8Array;
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
  const { bytes, size, before, where, maxVersion, wanted } = nodes;
  const tree = new IavlHasher(where, maxVersion, before);
  const lines: string[] = [];
  const records: ExportEntry[] = [];
  const codes: string[] = [];
  let hostKey: string | undefined;
  for (const node of nodesIn(bytes.subarray(0, size), where)) {
    tree.addRead(node);
    if (wanted === 'export data' && isExportData(node)) {
      const [key, value] = entryOf(node, where);
      if (!key.startsWith('kv.')) records.push([key, value]);
      else {
        if (key.startsWith('kv.host.')) hostKey ??= key;
        lines.push(lineOf(key, value));
      }
    }
    const code = wanted === 'code hashes' ? codeHashOf(node, where) : undefined;
    if (code !== undefined) codes.push(code);
  }
  return {
    bytes,
    part: tree.part(),
    lines: lines.length === 0 ? new Uint8Array() : blockOfLines(lines),
    kvEntries: lines.length,
    hostKey,
    records,
    codes,
  };
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
