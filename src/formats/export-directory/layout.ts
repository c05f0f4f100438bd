/** File names in an export directory, and the check of those in its manifest. */
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { VerificationError } from '../../errors.ts';

/** The manifest. A directory with it is an export. `ExportManifestFileName` of the reference. */
export const MANIFEST_FILE = 'export-manifest.json';
/** The export data; the reference uses the same name. */
export const EXPORT_DATA_FILE = 'export-data.jsonl';
/** The record of our operation; see `operation/record.ts`. */
export const RECORD_FILE = '.swingsnap-operation.json';
/** Asks the operation to stop; see `operation/discard-export.ts`. */
export const STOP_FILE = '.swingsnap-stop';
/** The names of the files that our operation has made so far, one per line; removed once the manifest exists. */
export const JOURNAL_FILE = '.swingsnap-files';

/**
 * The path of a file that a manifest names.
 * @throws {VerificationError} `PATH_OUTSIDE` if it would be outside the export directory
 */
export function resolveInside(exportDir: string, file: string): string {
  const path = resolve(exportDir, file);
  const inside = relative(resolve(exportDir), path);
  if (isAbsolute(inside) || inside.split(sep)[0] === '..' || file.includes('\0')) {
    throw new VerificationError('PATH_OUTSIDE', 'the manifest names a file outside the export', {
      path: join(exportDir, MANIFEST_FILE),
      found: JSON.stringify(file),
    });
  }
  return path;
}
