/** Leaves of the IAVL store `swingset` as entries of the export data. */
import { isUtf8 } from 'node:buffer';
import { formatLine } from '../../../swing-store-export/export-data/export-data.ts';
import type { ExportEntry } from '../../../swing-store-export/export-data/records.ts';
import { damaged } from '../layout.ts';
import { asBuffer, type ReadNode } from '../stream/node.ts';

const PREFIX = 'swingStore.';

/**
 * Limit of a value: half of the largest leaf that the Cosmos SDK restores. The limit of its line is the size of that
 * leaf, although escapes may expand a value sixfold. A value is in memory as text, as a line and as rows, which takes
 * several times its size.
 */
export const MAX_VALUE_BYTES = 32_000_000;
const MAX_LINE_UNITS = 64_000_000;

export function isExportData({ key, height }: Pick<ReadNode, 'key' | 'height'>): boolean {
  return height === 0 && key.startsWith(PREFIX);
}

/** Converts a leaf into an entry of the export data. */
export function entryOf({ key, value }: ReadNode, location: string): ExportEntry {
  const name = Buffer.from(key.slice(PREFIX.length), 'latin1');
  if (!isUtf8(name) || !isUtf8(value) || value.length > MAX_VALUE_BYTES) {
    damaged('an entry of the export data is not text, or is too long', {
      path: location,
      found: name.toString().slice(0, 200),
    });
  }
  return [name.toString(), asBuffer(value).toString()];
}

/** The line of an entry, without its newline. @throws {VerificationError} `STATE_SYNC_DAMAGED` if it is too long */
export function lineOf(entry: ExportEntry, location: string): string {
  const line = formatLine(entry);
  if (line.length > MAX_LINE_UNITS) {
    damaged('a line of the export data is too long', {
      path: location,
      expected: `at most ${MAX_LINE_UNITS} characters`,
      found: line.length,
    });
  }
  return line;
}
