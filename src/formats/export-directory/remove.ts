/** Removes an export directory, but keeps all files that do not belong to the export. */
import { existsSync, readdirSync } from 'node:fs';
import { lstat, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VerificationError } from '../../errors.ts';
import { inDirectory, type HeldDirectory } from '../../io/files/held-directory.ts';
import { syncDirectory } from '../../io/files/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../io/files/scratch.ts';
import { isExportFile, readJournal } from './journal.ts';
import { JOURNAL_FILE, MANIFEST_FILE, RECORD_FILE, STOP_FILE } from './layout.ts';
import { readManifestAt, type ExportManifest } from './manifest.ts';

/**
 * Name of the manifest while its files are being removed: it still lists them, but the directory is no longer an
 * export.
 */
const DISCARDED_MANIFEST_FILE = '.swingsnap-discarded.json';

/** Result of {@link removeExportDirectory}. */
export interface Removal {
  /** Number of files removed. */
  readonly files: number;
  /** Their bytes. */
  readonly size: number;
  /** Whether the directory itself is gone. */
  readonly gone: boolean;
  /** Names left in place because they do not belong to the export, at most ten. */
  readonly left: readonly string[];
}

/** Whether `exportDir` is an export, or the remains of an unfinished or partly removed one. */
export function isExportDirectory(exportDir: string): boolean {
  const files = [MANIFEST_FILE, DISCARDED_MANIFEST_FILE, RECORD_FILE, JOURNAL_FILE];
  if (files.some((file) => existsSync(join(exportDir, file)))) return true;
  // Of a run that was killed before it had written its record.
  const names = readdirSync(exportDir);
  return names.length > 0 && names.every(isTemporary);
}

/** The manifest of an export whose removal started but did not finish. */
export async function discardedManifest(exportDir: string): Promise<ExportManifest | undefined> {
  const path = join(exportDir, DISCARDED_MANIFEST_FILE);
  if (!existsSync(path) || existsSync(join(exportDir, MANIFEST_FILE))) return undefined;
  return readManifestAt(path);
}

/**
 * Removes the files that the manifest and the journal name, our own files, and then the directory if it is empty.
 * It can be called again after a kill. If the manifest is damaged but our record exists, it removes every file whose
 * name an export uses.
 * @param keepDirectory keep the empty directory
 * @throws {VerificationError} what {@link readManifestAt} throws, for a damaged manifest without our record;
 *   nothing is changed then
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
  let [files, size] = [0, 0];
  const unlink = async (path: string): Promise<void> => {
    const stat = await lstat(path).catch(() => undefined);
    if (stat === undefined || stat.isDirectory()) return;
    await rm(path);
    files += 1;
    size += stat.size;
  };
  for (const file of named) if (isPlainName(file)) await unlink(join(exportDir, file));
  for await (const name of readJournal(exportDir)) await unlink(join(exportDir, name));
  // Temporary files of a killed run.
  for (const name of await readdir(exportDir)) {
    if (isTemporary(name)) await unlink(join(exportDir, name));
  }
  await unlink(join(exportDir, JOURNAL_FILE));
  await unlink(join(exportDir, STOP_FILE));
  await unlink(join(exportDir, RECORD_FILE));
  // Last: a killed retrieve learns from it which export it had packaged.
  await unlink(discarded);
  const left = (await readdir(exportDir)).sort();
  const gone = left.length === 0 && !keepDirectory && directory.isInPlace();
  if (gone) directory.remove();
  return { files, size, gone, left: left.slice(0, 10) };
}

/** {@link removeHeldExport} for the directory that `exportDir` leads to now. */
export async function removeExportDirectory(
  exportDir: string,
  options: Parameters<typeof removeHeldExport>[1] = {},
): Promise<Removal> {
  return inDirectory(exportDir, async (directory) => removeHeldExport(directory, options));
}

/** The files that the manifest lists, under either of its names; none without a manifest. */
async function filesOfManifest(exportDir: string): Promise<string[]> {
  const path = [MANIFEST_FILE, DISCARDED_MANIFEST_FILE]
    .map((file) => join(exportDir, file))
    .find((file) => existsSync(file));
  if (path === undefined) return [];
  try {
    const { artifacts, data } = await readManifestAt(path);
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
      hint: 'nothing was removed; check the directory and remove it by hand',
      cause: error,
    });
  }
}

/** A file whose name has a directory part is left alone: the name may lead anywhere through a link. */
function isPlainName(file: string): boolean {
  return !['', '.', '..'].includes(file) && basename(file) === file && !file.includes('\0');
}

function isTemporary(name: string): boolean {
  return (
    name.startsWith(TEMPORARY_PREFIX) && /^[0-9a-f]{12}-/u.test(name.slice(TEMPORARY_PREFIX.length))
  );
}
