import { SwingSnapError } from '../errors.ts';
import type { SwingStoreExport } from '../swing-store-export/swing-store-export.ts';

/** @throws {SwingSnapError} `HEIGHT` if a height was asked for and the export is at another */
export function refuseHeight(
  source: Pick<SwingStoreExport, 'height' | 'location'>,
  expected: number | undefined,
): void {
  if (expected === undefined || source.height === expected) return;
  throw new SwingSnapError('HEIGHT', 'the export is of another height', {
    path: source.location,
    expected,
    found: source.height,
    hint: 'leave out --height, or name the height of the export',
  });
}
