/**
 * Encodes messages of a state-sync snapshot as the Cosmos SDK does: length-prefixed, with fields in order, and
 * without zero or empty values.
 *
 * Sources: cosmos-sdk `snapshots/stream.go`, `proto/cosmos/store/snapshots/v1/snapshot.proto`; agoric-sdk
 * `proto/agoric/swingset/swingset.proto`.
 */

/** A protobuf varint of a number below 2^53. */
export function uvarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** The head of a bytes field; `size` bytes follow it. */
function bytesHead(field: number, size: number): Buffer {
  return Buffer.concat([uvarint(field * 8 + 2), uvarint(size)]);
}

/** A bytes field; omitted if empty. */
export function bytesField(field: number, bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return Buffer.alloc(0);
  return Buffer.concat([bytesHead(field, bytes.length), bytes]);
}

/** A varint field of a number below 2^53; omitted if zero. */
export function numberField(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([uvarint(field * 8), uvarint(value)]);
}

/** `SnapshotItem { SnapshotExtensionMeta }`. */
export function extensionItem(name: string, format: number): Buffer {
  const meta = Buffer.concat([bytesField(1, Buffer.from(name)), numberField(2, format)]);
  const item = bytesField(3, meta);
  return Buffer.concat([uvarint(item.length), item]);
}

/** The head of a `SnapshotItem { SnapshotExtensionPayload }`; `size` bytes of payload follow it. */
export function payloadHead(size: number): Buffer {
  const field = size === 0 ? Buffer.alloc(0) : bytesHead(1, size);
  const head = Buffer.concat([bytesHead(4, field.length + size), field]);
  return Buffer.concat([uvarint(head.length + size), head]);
}

/** {@link payloadHead} for a `SwingStoreArtifact`; `size` bytes of the artifact follow it. */
export function artifactHead(name: string, size: number): Buffer {
  const head = Buffer.concat([
    bytesField(1, Buffer.from(name)),
    size === 0 ? Buffer.alloc(0) : bytesHead(2, size),
  ]);
  return Buffer.concat([payloadHead(head.length + size), head]);
}
