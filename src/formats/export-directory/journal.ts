/** The journal: names of the files that an unfinished export has made, a line each, in the order of making. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import { EXPORT_DATA_FILE, JOURNAL_FILE } from './layout.ts';

/**
 * The file names in the journal of `exportDir`; none if there is no journal.
 * Only names that an export makes are given: a damaged journal names nobody else's files.
 */
export async function* readJournal(exportDir: string): AsyncGenerator<string> {
  // A link, or a pipe, is none of ours.
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

/** Whether an export makes files of that name for its data. */
export function isExportFile(name: string): boolean {
  if (name === EXPORT_DATA_FILE) return true;
  try {
    parseArtifactName(name);
    return true;
  } catch {
    return false;
  }
}
