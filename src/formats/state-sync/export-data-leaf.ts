/** Leaves of the IAVL store `swingset` as entries of the export data. */
import { isUtf8 } from 'node:buffer';
import { VerificationError } from '../../errors.ts';
import { MAX_LINE_BYTES } from '../../io/lines.ts';
import { formatLine } from '../../swing-store-export/export-data.ts';
import type { ExportEntry } from '../../swing-store-export/records.ts';
import { asBuffer, type ReadNode } from './iavl.ts';
import { damaged } from './layout.ts';

const PREFIX = 'swingStore.';

export function isExportData({ key, height }: ReadNode): boolean {
  return height === 0 && key.startsWith(PREFIX);
}

/** A leaf as an entry of the export data. */
export function entryOf({ key, value }: ReadNode, location: string): ExportEntry {
  const name = Buffer.from(key.slice(PREFIX.length), 'latin1');
  if (!isUtf8(name) || !isUtf8(value) || value.length > MAX_LINE_BYTES) {
    damaged('an entry of the export data is no text, or too long', {
      path: location,
      found: name.toString(),
    });
  }
  return [name.toString(), asBuffer(value).toString()];
}

/**
 * The line of an entry.
 * @throws {VerificationError} `LINE_TOO_LONG`
 */
export function lineOf(key: string, value: string): string {
  try {
    return formatLine([key, value]);
  } catch (cause) {
    // Escapes can make six times as many characters of a value, and a string has an end.
    throw new VerificationError('LINE_TOO_LONG', 'a line of the export data is too long', {
      path: key.slice(0, 100),
      cause,
    });
  }
}
