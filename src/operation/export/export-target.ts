/** The directory that `export` fills: empty and locked beforehand, and as it was after a failure. */
import { existsSync, lstatSync, realpathSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { BusyError, SwingSnapError, UsageError } from '../../errors.ts';
import { RECORD_FILE, STOP_FILE } from '../../formats/export-directory/layout.ts';
import { discardedManifest, removeHeldExport } from '../../formats/export-directory/remove.ts';
import { HeldDirectory } from '../../io/files/held-directory.ts';
import { makeDirectory, unmakeDirectories } from '../../io/files/made-directory.ts';
import { TEMPORARY_PREFIX } from '../../io/files/scratch.ts';
import { nearestExisting } from '../../io/files/stat-if-there.ts';
import { systemCode } from '../../io/files/system-error.ts';
import { listed } from '../../io/listed.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { lockOperation, type OperationLock } from '../lock/lock.ts';
import { readRecord, type OperationRecord } from '../lock/record.ts';
import { withLock } from '../lock/with-lock.ts';
import { checkWritable, type Check } from '../preflight.ts';
import { lookOut, type Lookout } from '../store-view/bounds.ts';

/**
 * Makes the export directory if it is missing, locks it, removes what a dead swingsnap operation left in it, and runs
 * `work`.
 * @param facts what the lock's notice contains beside the directory
 * @param work is given the directory to write in, held open
 * @throws {SwingSnapError} `EXPORT_DIR` if it is not empty
 * @throws {BusyError} `BUSY` if an operation on it is in progress
 * @throws what `work` throws; directories that were made for it are removed then
 */
export async function inExportDirectory<Result>(
  exportDir: string,
  facts: { readonly stateDir?: string },
  work: (lock: OperationLock, directory: HeldDirectory) => Promise<Result>,
): Promise<Result> {
  await checkTarget(exportDir);
  const made = await makeDirectory(exportDir).catch(refuseVanished(exportDir));
  return withLock([exportDir], { operation: 'export', ...facts, exportDir }, async (lock) => {
    let directory: HeldDirectory | undefined;
    try {
      if (lock.isEmpty) throw vanished(exportDir);
      const emptied = await empty(exportDir).catch(refuseVanished(exportDir));
      directory = emptied.directory;
      if (emptied.left.length > 0) throw occupied(exportDir, emptied.left, undefined);
      return await work(lock, directory);
    } catch (error) {
      // Done under the lock, so that no other operation can have started there.
      await unmakeDirectories(made);
      throw error;
    } finally {
      directory?.close();
    }
  });
}

/**
 * Checks that an export can be written to `exportDir`.
 * @throws as {@link refuseOccupied} and `checkWritable`; {@link BusyError} `BUSY`
 */
export async function checkTarget(exportDir: string): Promise<Check> {
  const writable = checkWritable(exportDir, 'export directory');
  await refuseOccupied(exportDir);
  lockOperation([exportDir], { operation: 'export', exportDir }).release();
  return writable;
}

/** Opens and holds the export directory, and removes what dead swingsnap operations left in it. */
async function empty(
  exportDir: string,
): Promise<{ readonly directory: HeldDirectory; readonly left: readonly string[] }> {
  const directory = HeldDirectory.openLinked(exportDir);
  try {
    await refuseOccupied(exportDir);
    const { left } = await removeHeldExport(directory, { keepDirectory: true });
    return { directory, left };
  } catch (error) {
    directory.close();
    throw error;
  }
}

/** Another operation may remove the directory at any moment before it is locked. */
function refuseVanished(exportDir: string): (error: unknown) => never {
  return (error) => {
    throw systemCode(error) === 'ENOENT' ? vanished(exportDir) : error;
  };
}

/**
 * A lookout for a `discard` that asks the operation in `exportDir` to stop. An export looks a last time between its
 * manifest and its success: a discard that began before is then not missed, and one that begins later finds an export.
 */
export function lookOutForDiscard(
  exportDir: Pick<HeldDirectory, 'path'>,
  signal: AbortSignal | undefined,
): Lookout {
  const stopFile = join(exportDir.path, STOP_FILE);
  // Anything by that name counts, even a dangling link.
  const isAsked = (): boolean => lstatSync(stopFile, { throwIfNoEntry: false }) !== undefined;
  return lookOut(() => (isAsked() ? discarded() : undefined), signal);
}

function discarded(): SwingSnapError {
  return new SwingSnapError('DISCARDED', 'the operation was discarded', {
    hint: 'run the export again',
  });
}

/**
 * Refuses an export directory inside what is exported, through any link.
 * @param what names what is exported, for the message: `state dir`
 * @throws {UsageError} `EXPORT_DIR`
 */
export function refuseInside(exportDir: string, exported: string, what: string): void {
  const existing = nearestExisting(exportDir);
  const real = resolve(realpathSync(existing), relative(existing, exportDir));
  const realExported = existsSync(exported) ? realpathSync(exported) : exported;
  const inside = relative(realExported, real);
  if (inside === '..' || inside.startsWith(`..${sep}`)) return;
  throw new UsageError('EXPORT_DIR', `the export directory would be in the ${what}`, {
    path: exportDir,
    found: realExported,
    hint: 'name a directory elsewhere with --export-dir',
  });
}

/**
 * Refuses an export directory that is not empty. The rest of a dead or failed swingsnap operation, or of an interrupted
 * removal, does not count: it is removed later.
 * @throws {SwingSnapError} `EXPORT_DIR`
 */
export async function refuseOccupied(exportDir: string): Promise<void> {
  if (!existsSync(exportDir)) return;
  const names = await readdir(exportDir).catch((cause: unknown) => {
    // A discard has just removed it.
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    const path = exportDir;
    throw new UsageError('EXPORT_DIR', 'the path of the export directory is not a directory', {
      path,
      cause,
    });
  });
  // A killed run may leave files with temporary names before it has written its record.
  if (names.every((name) => name.startsWith(TEMPORARY_PREFIX) && name !== RECORD_FILE)) return;
  if ((await discardedManifest(exportDir)) !== undefined) return;
  const record = await readRecord(exportDir);
  if (record === undefined || record.state === 'done') throw occupied(exportDir, names, record);
}

function vanished(path: string): BusyError {
  return new BusyError('BUSY', 'another operation has just removed the export directory', {
    path,
    hint: 'run it again',
  });
}

function occupied(
  path: string,
  names: readonly string[],
  record: OperationRecord | undefined,
): SwingSnapError {
  return new SwingSnapError('EXPORT_DIR', 'the export directory is not empty', {
    path,
    found:
      record === undefined
        ? listed(names)
        : `an export of height ${record.height}, ${record.state}`,
    hint:
      record === undefined
        ? 'name an empty or a new directory with --export-dir'
        : `use it with: swingsnap retrieve --export-dir ${shellQuote(path)} --snapshot-dir DIR; or remove it with: swingsnap discard --export-dir ${shellQuote(path)}`,
  });
}
