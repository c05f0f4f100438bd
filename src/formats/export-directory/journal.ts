/** The journal of an unfinished export: the names of the files made so far, one per line, in order. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import { EXPORT_DATA_FILE, JOURNAL_FILE } from './layout.ts';

/**
 * Yields the file names in the journal of `exportDir`; none if there is no journal. Skips names that an export never
 * uses, so that a damaged journal cannot name other files.
 */
export async function* readJournal(exportDir: string): AsyncGenerator<string> {
  // A link or a pipe is not ours: we never make one here.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(join(exportDir, JOURNAL_FILE), flags).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ELOOP') return undefined;
    throw error;
  });
  if (file === undefined) return;
  for await (const name of file.readLines()) {
    if (isExportFile(name)) yield name;
  }
}

/** Whether `name` is one that an export gives to its data files. */
export function isExportFile(name: string): boolean {
  if (name === EXPORT_DATA_FILE) return true;
  try {
    parseArtifactName(name);
    return true;
  } catch {
    return false;
  }
}
