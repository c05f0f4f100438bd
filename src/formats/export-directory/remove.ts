/** Removes an export directory, and nothing in it that is not the export's. */
import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VerificationError } from '../../errors.ts';
import { inDirectory, type HeldDirectory } from '../../io/files/held-directory.ts';
import { syncDirectory } from '../../io/files/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../io/files/scratch.ts';
import { isExportFile, readJournal } from './journal.ts';
import { JOURNAL_FILE, MANIFEST_FILE, RECORD_FILE, STOP_FILE } from './layout.ts';
import { decodeExportManifest, type ExportManifest } from './manifest.ts';

/** The manifest's name while its files are being removed: it still names them, and is no export any more. */
const DISCARDED_MANIFEST_FILE = '.swingsnap-discarded.json';

/** What {@link removeExportDirectory} did. */
export interface Removal {
  /** Number of files that were removed. */
  readonly files: number;
  /** Whether the directory itself is gone. */
  readonly gone: boolean;
  /** Names of what was not the export's and was left, at most ten. */
  readonly left: readonly string[];
}

/** Whether `exportDir` is an export, or what is left of one that was not finished or not fully removed. */
export function isExportDirectory(exportDir: string): boolean {
  return [MANIFEST_FILE, DISCARDED_MANIFEST_FILE, RECORD_FILE, JOURNAL_FILE].some((file) =>
    existsSync(join(exportDir, file)),
  );
}

/** The manifest of an export whose removal was begun and not finished. */
export async function discardedManifest(exportDir: string): Promise<ExportManifest | undefined> {
  const path = join(exportDir, DISCARDED_MANIFEST_FILE);
  if (!existsSync(path) || existsSync(join(exportDir, MANIFEST_FILE))) return undefined;
  return decodeExportManifest(await readFile(path, 'utf8'), path);
}

/**
 * Removes from a directory that is held the files that the manifest, the journal and the record there name, then the
 * directory if nothing else is in it. Killed half-way, it may be called again. A damaged manifest in a directory that has
 * our record stands for all files that are called as an export's are.
 * @param keepDirectory leaves the directory itself, empty
 * @throws {VerificationError} as {@link decodeExportManifest} for a damaged manifest without our record; nothing is
 *   changed then
 */
export async function removeHeldExport(
  directory: HeldDirectory,
  { keepDirectory = false }: { readonly keepDirectory?: boolean } = {},
): Promise<Removal> {
  const exportDir = directory.path;
  const manifest = join(exportDir, MANIFEST_FILE);
  const discarded = join(exportDir, DISCARDED_MANIFEST_FILE);
  const named = await filesOfManifest(exportDir);
  if (existsSync(manifest)) {
    await rename(manifest, discarded);
    try {
      await syncDirectory(exportDir);
    } catch (error) {
      await rename(discarded, manifest);
      throw error;
    }
  }
  let files = 0;
  const unlink = async (path: string): Promise<void> => {
    const stat = await lstat(path).catch(() => undefined);
    if (stat === undefined || stat.isDirectory()) return;
    await rm(path);
    files += 1;
  };
  for (const file of named) if (isPlainName(file)) await unlink(join(exportDir, file));
  for await (const name of readJournal(exportDir)) await unlink(join(exportDir, name));
  // What a killed run of ours left under a temporary name.
  for (const name of await readdir(exportDir)) {
    if (isTemporary(name)) await unlink(join(exportDir, name));
  }
  await unlink(join(exportDir, JOURNAL_FILE));
  await unlink(join(exportDir, STOP_FILE));
  await unlink(join(exportDir, RECORD_FILE));
  // The last that goes tells a retrieve that was killed meanwhile which export it had packaged.
  await unlink(discarded);
  const left = (await readdir(exportDir)).sort();
  const gone = left.length === 0 && !keepDirectory && directory.isInPlace();
  if (gone) directory.remove();
  return { files, gone, left: left.slice(0, 10) };
}

/** {@link removeHeldExport} from the directory that `exportDir` leads to now. */
export async function removeExportDirectory(
  exportDir: string,
  options: Parameters<typeof removeHeldExport>[1] = {},
): Promise<Removal> {
  return inDirectory(exportDir, async (directory) => removeHeldExport(directory, options));
}

/** The files that the manifest names, by whichever name it is there; none without one. */
async function filesOfManifest(exportDir: string): Promise<string[]> {
  const path = [MANIFEST_FILE, DISCARDED_MANIFEST_FILE]
    .map((file) => join(exportDir, file))
    .find((file) => existsSync(file));
  if (path === undefined) return [];
  try {
    const { artifacts, data } = decodeExportManifest(await readFile(path, 'utf8'), path);
    return [...artifacts.map(([, file]) => file), ...(data === undefined ? [] : [data])];
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    if (existsSync(join(exportDir, RECORD_FILE))) {
      return (await readdir(exportDir)).filter(isExportFile);
    }
    const { code, message, expected, found } = error;
    throw new VerificationError(code, message, {
      path: error.path,
      expected,
      found,
      hint: 'nothing was removed: look at the directory and remove it by hand',
      cause: error,
    });
  }
}

/** A name with a directory in it may lead anywhere through a link: such a file is left. */
function isPlainName(file: string): boolean {
  return !['', '.', '..'].includes(file) && basename(file) === file && !file.includes('\0');
}

function isTemporary(name: string): boolean {
  return (
    name.startsWith(TEMPORARY_PREFIX) && /^[0-9a-f]{12}-/u.test(name.slice(TEMPORARY_PREFIX.length))
  );
}
