/** Decodes messages of a state-sync snapshot. */
import { damaged } from '../layout.ts';
import { bytesOf, type ReadNode } from './node.ts';
import { ProtoReader } from './proto.ts';

const MAX_NAME_BYTES = 1024;
const NO_BYTES: Buffer = Buffer.alloc(0);

/** An item other than a node. */
export type OtherItem =
  | { readonly kind: 'store'; readonly name: string }
  | { readonly kind: 'extension'; readonly name: string; readonly format: number }
  /** Its bytes must be read or skipped before the next item is requested. */
  | { readonly kind: 'payload'; readonly size: number };

/** Field numbers of `SnapshotItem`. */
const [STORE, NODE, EXTENSION] = [1, 2, 3] as const;

/**
 * Decodes a `SnapshotItem` that is neither a node nor a payload.
 * @param where names the item in errors
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export function decodeItem(message: Buffer, where: string): OtherItem {
  const reader = new ProtoReader(message, where);
  const kind = reader.field({ [STORE]: 2, [EXTENSION]: 2 });
  const body = bodyOf(reader);
  return kind === STORE ? { kind: 'store', name: decodeName(body) } : decodeExtension(body);
}

/** Decodes a `SnapshotItem { SnapshotIAVLItem }`. Parameters and errors as for {@link decodeItem}. */
export function decodeNode(message: Buffer, where: string): ReadNode {
  const reader = new ProtoReader(message, where);
  reader.field({ [NODE]: 2 });
  return nodeOf(bodyOf(reader));
}

/** Decodes a `SnapshotIAVLItem`. */
export function decodeNodeBody(body: Buffer, where: string): ReadNode {
  return nodeOf(new ProtoReader(body, where));
}

function bodyOf(item: ProtoReader): ProtoReader {
  const body = new ProtoReader(item.lengthDelimited(), item.where);
  if (!item.isAtEnd) damaged('an item holds more than one field', { path: item.where });
  return body;
}

function decodeName(body: ProtoReader): string {
  body.field({ 1: 2 });
  const name = textOf(body.lengthDelimited(), body.where);
  if (!body.isAtEnd) damaged('an item holds more than a name', { path: body.where });
  return name;
}

function decodeExtension(body: ProtoReader): OtherItem {
  body.field({ 1: 2 });
  const name = textOf(body.lengthDelimited(), body.where);
  let format = 0;
  if (!body.isAtEnd) {
    body.field({ 2: 0 });
    format = body.nonZero();
  }
  if (!body.isAtEnd)
    damaged('an extension holds more than a name and a format', { path: body.where });
  return { kind: 'extension', name, format };
}

function nodeOf(body: ProtoReader): ReadNode {
  let [key, value] = [NO_BYTES, NO_BYTES];
  let [version, height] = [0, 0];
  while (!body.isAtEnd) {
    const field = body.field({ 1: 2, 2: 2, 3: 0, 4: 0 });
    if (field === 1) key = body.lengthDelimited();
    else if (field === 2) value = body.lengthDelimited();
    else if (field === 3) version = body.nonZero();
    else height = body.nonZero();
  }
  return { key: bytesOf(key), value, version, height };
}

/** Decodes a name of printable ASCII: chains use no other names. */
export function textOf(bytes: Uint8Array, where: string): string {
  const text = Buffer.from(bytes).toString('latin1');
  if (bytes.length > 0 && bytes.length <= MAX_NAME_BYTES && /^[\x21-\x7e]+$/u.test(text))
    return text;
  return damaged('a name is malformed', {
    path: where,
    expected: 'printable ASCII',
    found: JSON.stringify(text.slice(0, 100)),
  });
}
