/** Leaves of the IAVL store `swingset` as entries of the export data. */
import { isUtf8 } from 'node:buffer';
import type { ExportEntry } from '../../swing-store-export/records.ts';
import { asBuffer, type ReadNode } from './iavl.ts';
import { damaged } from './layout.ts';

const PREFIX = 'swingStore.';

/**
 * What the Cosmos SDK restores of a whole leaf. A value is text here, then a line, then rows, all of them whole: several
 * times as much memory; its line fits a JavaScript string though escapes take six times its size.
 */
export const MAX_VALUE_BYTES = 64_000_000;

export function isExportData({ key, height }: Pick<ReadNode, 'key' | 'height'>): boolean {
  return height === 0 && key.startsWith(PREFIX);
}

/** A leaf as an entry of the export data. */
export function entryOf({ key, value }: ReadNode, location: string): ExportEntry {
  const name = Buffer.from(key.slice(PREFIX.length), 'latin1');
  if (!isUtf8(name) || !isUtf8(value) || value.length > MAX_VALUE_BYTES) {
    damaged('an entry of the export data is no text, or too long', {
      path: location,
      found: name.toString().slice(0, 200),
    });
  }
  return [name.toString(), asBuffer(value).toString()];
}
