/** Messages of a state-sync snapshot, taken apart. */
import type { IavlNode } from './iavl.ts';
import { damaged } from './layout.ts';
import { ProtoReader } from './proto.ts';

const MAX_NAME_BYTES = 1024;
const NO_BYTES: Buffer = Buffer.alloc(0);

export type Item =
  | { readonly kind: 'store'; readonly name: string }
  | { readonly kind: 'node'; readonly node: IavlNode }
  | { readonly kind: 'extension'; readonly name: string; readonly format: number }
  /** Its bytes are to be read, or left, before the next item is asked for. */
  | { readonly kind: 'payload'; readonly size: number };

/** Field numbers of `SnapshotItem`. */
const [STORE, NODE, EXTENSION] = [1, 2, 3] as const;
const WHOLE_KINDS = { [STORE]: 2, [NODE]: 2, [EXTENSION]: 2 };

/**
 * `SnapshotItem`, of which payloads are read otherwise.
 * @param where names it in errors
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export function decodeItem(message: Buffer, where: string): Item {
  const reader = new ProtoReader(message, where);
  const kind = reader.field(WHOLE_KINDS);
  const body = new ProtoReader(reader.lengthDelimited(), where);
  if (!reader.isAtEnd) damaged('an item holds more than one thing', { path: where });
  if (kind === STORE) return { kind: 'store', name: decodeName(body) };
  return kind === NODE ? { kind: 'node', node: decodeNode(body) } : decodeExtension(body);
}

function decodeName(body: ProtoReader): string {
  body.field({ 1: 2 });
  const name = textOf(body.lengthDelimited(), body.where);
  if (!body.isAtEnd) damaged('an item holds more than a name', { path: body.where });
  return name;
}

function decodeExtension(body: ProtoReader): Item {
  body.field({ 1: 2 });
  const name = textOf(body.lengthDelimited(), body.where);
  let format = 0;
  if (!body.isAtEnd) {
    body.field({ 2: 0 });
    format = body.nonZero();
  }
  if (!body.isAtEnd) damaged('an extension holds more than name and format', { path: body.where });
  return { kind: 'extension', name, format };
}

function decodeNode(body: ProtoReader): IavlNode {
  let [key, value] = [NO_BYTES, NO_BYTES];
  let [version, height] = [0, 0];
  while (!body.isAtEnd) {
    const field = body.field({ 1: 2, 2: 2, 3: 0, 4: 0 });
    if (field === 1) key = body.lengthDelimited();
    else if (field === 2) value = body.lengthDelimited();
    else if (field === 3) version = body.nonZero();
    else height = body.nonZero();
  }
  return { key, value, version, height };
}

/** A name of printable ASCII, which is all that a chain uses. */
export function textOf(bytes: Uint8Array, where: string): string {
  const text = Buffer.from(bytes).toString('latin1');
  if (bytes.length > 0 && bytes.length <= MAX_NAME_BYTES && /^[\x21-\x7e]+$/u.test(text))
    return text;
  return damaged('a name is none', {
    path: where,
    expected: 'printable ASCII',
    found: JSON.stringify(text.slice(0, 100)),
  });
}
