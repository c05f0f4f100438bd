/**
 * Payloads of the extension `swingset`: `SwingStoreArtifact { string name = 1; bytes data = 2 }`.
 *
 * Sources: agoric-sdk `golang/cosmos/x/swingset/keeper/extension_snapshotter.go`,
 * `proto/agoric/swingset/swingset.proto`.
 */
import { given } from '../../../io/threads/recipe.ts';
import {
  WHOLE_MAX_BYTES,
  type ExportArtifact,
} from '../../../swing-store-export/swing-store-export.ts';
import { visitOfOne } from '../../../swing-store-export/visits.ts';
import { damaged } from '../layout.ts';
import { textOf } from '../stream/decode-item.ts';
import type { ItemReader } from '../stream/items.ts';

const [NAME_TAG, DATA_TAG] = [0x0a, 0x12];
const MAX_HEADER_BYTES = 2048;

/**
 * Reads the artifact in the current payload. Its `data` must be consumed or dropped before the next item is
 * requested.
 * @param size of the payload
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` if the payload holds no artifact
 */
export async function readArtifact(reader: ItemReader, size: number): Promise<ExportArtifact> {
  const { name, dataSize } = await readHeader(reader, size);
  if (dataSize <= WHOLE_MAX_BYTES) {
    const bytes = await reader.readWhole(dataSize);
    return {
      name,
      data: async function* data() {
        yield bytes;
      },
      size: dataSize,
      visit: visitOfOne(async () => given({ bytes }), dataSize),
    };
  }
  return {
    name,
    data: async function* data() {
      for (;;) {
        const piece = await reader.read();
        if (piece === undefined) return;
        yield piece;
      }
    },
  };
}

/** Reads a payload up to the first byte of the artifact's content. */
async function readHeader(
  reader: ItemReader,
  size: number,
): Promise<{ name: string; dataSize: number }> {
  let read = 0;
  const byte = async (): Promise<number> => {
    const [value] = (await reader.read(1)) ?? [];
    if (value === undefined || read >= MAX_HEADER_BYTES) return wrong();
    read += 1;
    return value;
  };
  const wrong = (): never =>
    damaged('a payload of the extension swingset is not an artifact', { path: reader.where });
  const varint = async (): Promise<number> => {
    let value = 0;
    for (let factor = 1; factor <= 128 ** 6; factor *= 128) {
      const next = await byte();
      value += (next & 0x7f) * factor;
      if (next < 0x80) return next === 0 && factor > 1 ? wrong() : value;
    }
    return wrong();
  };
  if ((await byte()) !== NAME_TAG) return wrong();
  const nameSize = await varint();
  if (nameSize > MAX_HEADER_BYTES || nameSize > size - read) return wrong();
  const name = textOf(await reader.readWhole(nameSize), reader.where);
  read += nameSize;
  if (read === size) return { name, dataSize: 0 };
  if ((await byte()) !== DATA_TAG) return wrong();
  const dataSize = await varint();
  return dataSize === size - read && dataSize > 0 ? { name, dataSize } : wrong();
}
