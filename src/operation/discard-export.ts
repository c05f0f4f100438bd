/** `discard`: an export that nobody will retrieve is removed. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { SwingSnapError, UsageError } from '../errors.ts';
import {
  isExportDirectory,
  removeExportDirectory,
  type Removal,
} from '../formats/export-directory/remove.ts';

/**
 * Removes the export in `exportDir`: the files that its manifest, its journal and its record name, then the
 * directory if it is empty. Nothing there is success.
 * @returns undefined if nothing was there
 * @throws {UsageError} `NOT_A_DIRECTORY`; {@link SwingSnapError} `NOT_AN_EXPORT` for a directory that is none
 */
export async function discardExport(exportDir: string): Promise<Removal | undefined> {
  const path = resolve(exportDir);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isDirectory()) {
    throw new UsageError('NOT_A_DIRECTORY', 'the export directory is no directory', { path });
  }
  if (!isExportDirectory(path)) {
    throw new SwingSnapError('NOT_AN_EXPORT', 'not an export: nothing was removed', {
      path,
      expected: 'export-manifest.json, or the record of an operation of swingsnap',
      hint: 'check the path; remove the directory by hand if it is what you mean',
    });
  }
  return removeExportDirectory(path);
}
