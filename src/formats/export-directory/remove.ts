/** Removes an export directory, and nothing in it that is not the export's. */
import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { syncDirectory } from '../../io/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../io/scratch.ts';
import { readJournal } from './journal.ts';
import { JOURNAL_FILE, MANIFEST_FILE, RECORD_FILE, resolveInside, STOP_FILE } from './layout.ts';
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
 * Removes the files that the manifest, the journal and the record of `exportDir` name, then the directory if nothing
 * else is in it. Killed half-way, it may be called again.
 * @param keepDirectory leaves the directory itself, empty
 */
export async function removeExportDirectory(
  exportDir: string,
  { keepDirectory = false }: { readonly keepDirectory?: boolean } = {},
): Promise<Removal> {
  const manifest = join(exportDir, MANIFEST_FILE);
  const discarded = join(exportDir, DISCARDED_MANIFEST_FILE);
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
  if (existsSync(discarded)) {
    const { artifacts, data } = decodeExportManifest(await readFile(discarded, 'utf8'), discarded);
    for (const file of [
      ...artifacts.map(([, name]) => name),
      ...(data === undefined ? [] : [data]),
    ]) {
      // A name with a directory in it may lead anywhere through a link: it is left.
      if (basename(file) === file) await unlink(resolveInside(exportDir, file));
    }
  }
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
  const gone = left.length === 0 && !keepDirectory;
  if (gone) await rmdir(exportDir);
  return { files, gone, left: left.slice(0, 10) };
}

function isTemporary(name: string): boolean {
  return (
    name.startsWith(TEMPORARY_PREFIX) && /^[0-9a-f]{12}-/u.test(name.slice(TEMPORARY_PREFIX.length))
  );
}
