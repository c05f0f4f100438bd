/** The directory that `export` fills: empty and locked before, and as it was if nothing came of it. */
import { existsSync, lstatSync, realpathSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { BusyError, SwingSnapError, UsageError } from '../../errors.ts';
import { RECORD_FILE, STOP_FILE } from '../../formats/export-directory/layout.ts';
import { discardedManifest, removeHeldExport } from '../../formats/export-directory/remove.ts';
import { nearestExisting } from '../../io/files/free-space.ts';
import { HeldDirectory } from '../../io/files/held-directory.ts';
import { makeDirectory, unmakeDirectories } from '../../io/files/made-directory.ts';
import { TEMPORARY_PREFIX } from '../../io/files/scratch.ts';
import { systemCode } from '../../io/files/system-error.ts';
import type { OperationLock } from '../lock/lock.ts';
import { readRecord, type OperationRecord } from '../lock/record.ts';
import { withLock } from '../lock/with-lock.ts';
import { checkWritable } from '../preflight.ts';
import { lookOut } from '../store-view/bounds.ts';

/**
 * Makes the export directory where it is missing, locks it, clears away what a dead operation of ours has left, and
 * does the work.
 * @param facts what the lock's notice says beside the directory
 * @param work given the directory, held, in which it writes
 * @throws {SwingSnapError} `EXPORT_DIR` if it is not empty
 * @throws {BusyError} `BUSY` if an operation on it is in progress
 * @throws what the work throws; directories that were made for it are unmade then
 */
export async function inExportDirectory<Result>(
  exportDir: string,
  facts: { readonly stateDir?: string },
  work: (lock: OperationLock, directory: HeldDirectory) => Promise<Result>,
): Promise<Result> {
  await refuseOccupied(exportDir);
  checkWritable(exportDir, 'export directory');
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
      // While the lock is held: no other operation may have begun there.
      await unmakeDirectories(made);
      throw error;
    } finally {
      directory?.close();
    }
  });
}

/** Holds the export directory, and removes what dead operations of ours have left in it. */
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
    // Where a directory cannot be made, nothing was there.
    const isGone = systemCode(error) === 'ENOENT' && !isOfMaking(error);
    throw isGone ? vanished(exportDir) : error;
  };
}

function isOfMaking(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).syscall === 'mkdir';
}

/** A lookout for a `discard` that asks the operation in `exportDir` to stop. */
export function lookOutForDiscard(
  exportDir: Pick<HeldDirectory, 'path'>,
  signal: AbortSignal | undefined,
): ReturnType<typeof lookOut> {
  const stopFile = join(exportDir.path, STOP_FILE);
  // Whatever has its name, a dangling link too.
  const isAsked = (): boolean => lstatSync(stopFile, { throwIfNoEntry: false }) !== undefined;
  return lookOut(() => (isAsked() ? discarded() : undefined), signal);
}

function discarded(): SwingSnapError {
  return new SwingSnapError('DISCARDED', 'the operation was discarded', {
    hint: 'run the export again',
  });
}

/**
 * Refuses an export directory in what is exported, reached through any link.
 * @param what what that is, for the message: `state dir`
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
 * What a dead or failed operation of ours, or a removal that was cut short, has left does not count: it is removed.
 * @throws {SwingSnapError} `EXPORT_DIR`
 */
export async function refuseOccupied(exportDir: string): Promise<void> {
  if (!existsSync(exportDir)) return;
  const names = await readdir(exportDir).catch((cause: unknown) => {
    // Removed at this very moment, by a discard.
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    const path = exportDir;
    throw new UsageError('EXPORT_DIR', 'the export directory is no directory', { path, cause });
  });
  // Under a temporary name a killed run may leave something before its record is there.
  if (names.every((name) => name.startsWith(TEMPORARY_PREFIX) && name !== RECORD_FILE)) return;
  if ((await discardedManifest(exportDir)) !== undefined) return;
  const record = await readRecord(exportDir);
  if (record === undefined || record.state === 'done') throw occupied(exportDir, names, record);
}

function vanished(path: string): BusyError {
  return new BusyError('BUSY', 'the export directory was removed at the same moment', {
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
        ? names.slice(0, 3).join(', ')
        : `an export of height ${record.height}, ${record.state}`,
    hint:
      record === undefined
        ? 'name an empty or a new directory with --export-dir'
        : `use it with: swingsnap retrieve --export-dir ${path} --snapshot-dir <dir>, or remove it with: swingsnap discard --export-dir ${path}`,
  });
}
