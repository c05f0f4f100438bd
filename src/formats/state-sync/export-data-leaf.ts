/** Leaves of the IAVL store `swingset` as entries of the export data. */
import { isUtf8 } from 'node:buffer';
import { MAX_LINE_BYTES } from '../../io/lines.ts';
import type { ExportEntry } from '../../swing-store-export/records.ts';
import { asBuffer, type IavlNode } from './iavl.ts';
import { damaged } from './layout.ts';

const PREFIX = Buffer.from('swingStore.');

export function isExportData({ key, height }: IavlNode): boolean {
  return height === 0 && PREFIX.equals(key.subarray(0, PREFIX.length));
}

/** A leaf as an entry of the export data. */
export function entryOf({ key, value }: IavlNode, location: string): ExportEntry {
  const name = asBuffer(key).subarray(PREFIX.length);
  if (!isUtf8(name) || !isUtf8(value) || value.length > MAX_LINE_BYTES) {
    damaged('an entry of the export data is no text, or too long', {
      path: location,
      found: name.toString(),
    });
  }
  return [name.toString(), asBuffer(value).toString()];
}
