/**
 * Messages of a state-sync snapshot as the Cosmos SDK writes them: each with its length before it, fields in order,
 * what is zero or empty left out.
 *
 * Sources: cosmos-sdk `snapshots/stream.go`, `proto/cosmos/store/snapshots/v1/snapshot.proto`; agoric-sdk
 * `proto/agoric/swingset/swingset.proto`.
 */

/** A number below 2^53 as protobuf writes it. */
export function uvarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** The beginning of a field of bytes, of which `size` follow. */
function bytesHead(field: number, size: number): Buffer {
  return Buffer.concat([uvarint(field * 8 + 2), uvarint(size)]);
}

/** A field of bytes; left out if there are none. */
export function bytesField(field: number, bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return Buffer.alloc(0);
  return Buffer.concat([bytesHead(field, bytes.length), bytes]);
}

/** A field of a number below 2^53; left out if it is zero. */
export function numberField(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([uvarint(field * 8), uvarint(value)]);
}

/** `SnapshotItem { SnapshotExtensionMeta }`. */
export function extensionItem(name: string, format: number): Buffer {
  const meta = Buffer.concat([bytesField(1, Buffer.from(name)), numberField(2, format)]);
  const item = bytesField(3, meta);
  return Buffer.concat([uvarint(item.length), item]);
}

/** `SnapshotItem { SnapshotExtensionPayload }` up to the bytes of the payload, of which `size` follow. */
export function payloadHead(size: number): Buffer {
  const field = size === 0 ? Buffer.alloc(0) : bytesHead(1, size);
  const head = Buffer.concat([bytesHead(4, field.length + size), field]);
  return Buffer.concat([uvarint(head.length + size), head]);
}

/** {@link payloadHead} of a `SwingStoreArtifact`, up to the bytes of the artifact, of which `size` follow. */
export function artifactHead(name: string, size: number): Buffer {
  const head = Buffer.concat([
    bytesField(1, Buffer.from(name)),
    size === 0 ? Buffer.alloc(0) : bytesHead(2, size),
  ]);
  return Buffer.concat([payloadHead(head.length + size), head]);
}
