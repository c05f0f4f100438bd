/** `discard`: ends an export that is no longer wanted, and removes it. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError, SwingSnapError, TimeoutError, UsageError } from '../errors.ts';
import { STOP_FILE } from '../formats/export-directory/layout.ts';
import {
  isExportDirectory,
  removeHeldExport,
  type Removal,
} from '../formats/export-directory/remove.ts';
import { HeldDirectory, inDirectory } from '../io/files/held-directory.ts';
import { statIfThere } from '../io/files/stat-if-there.ts';
import type { Holder } from './lock/holder.ts';
import { lockOperation, operationOn, type OperationLock } from './lock/lock.ts';
import { hasEnded, readRecord } from './lock/record.ts';

const LOOK_EVERY_MS = 100;
/** How long a worker may take to stop when asked, in milliseconds. */
const DEFAULT_PATIENCE_MS = 60_000;

export interface DiscardOptions {
  readonly signal?: AbortSignal | undefined;
  /** Maximum wait for the worker to end, in milliseconds. */
  readonly patience?: number | undefined;
}

/** What {@link discard} did. */
export interface Discarded extends Removal {
  /** Whether an export in progress was ended. */
  readonly ended: boolean;
}

/**
 * Asks an export in progress to stop, waits until its worker is gone, and removes the export in `exportDir`: the
 * files that its manifest, its journal and its record name, then the directory if it is empty. A missing directory is
 * a success.
 * @throws {UsageError} `NOT_A_DIRECTORY`; {@link SwingSnapError} `NOT_AN_EXPORT` if the directory is not an export
 * @throws {BusyError} `BUSY` if a `retrieve` is reading it; {@link TimeoutError} `STILL_RUNNING`
 */
export async function discard(exportDir: string, options: DiscardOptions = {}): Promise<Discarded> {
  const { lock, ended } = await takeOver(exportDir, options);
  const nothing = { ended, files: 0, gone: true, left: [] };
  if (lock === undefined) return nothing;
  let directory: HeldDirectory | undefined;
  try {
    if (statIfThere(exportDir) === undefined) return nothing;
    directory = HeldDirectory.openLinked(exportDir);
    // An export that was asked to stop may have left no files of its own in a directory that existed before it.
    if (!ended && !isExportDirectory(directory.path)) {
      throw new SwingSnapError('NOT_AN_EXPORT', 'not an export: nothing was removed', {
        path: exportDir,
        expected: 'export-manifest.json, or the record of an operation of swingsnap',
        hint: 'check the path; if it is the right directory, remove it by hand',
      });
    }
    return { ended, ...(await removeHeldExport(directory)) };
  } finally {
    directory?.close();
    lock.release();
  }
}

/** Waits for the directory's lock, asking an export that holds it to stop. */
async function takeOver(
  exportDir: string,
  { signal, patience = DEFAULT_PATIENCE_MS }: DiscardOptions,
): Promise<{ lock: OperationLock | undefined; ended: boolean }> {
  const deadline = performance.now() + patience;
  let ended = false;
  for (;;) {
    signal?.throwIfAborted();
    const stat = statIfThere(exportDir);
    if (stat === undefined) return { lock: undefined, ended };
    if (!stat.isDirectory()) {
      throw new UsageError('NOT_A_DIRECTORY', 'the export directory is not a directory', {
        path: exportDir,
      });
    }
    try {
      return { lock: lockOperation([exportDir], { operation: 'discard', exportDir }), ended };
    } catch (error) {
      if (!(error instanceof BusyError)) throw error;
      const holder = operationOn(exportDir);
      // A retrieve wins: it uses the export. Another discard is waited for.
      if (holder?.operation === 'retrieve') throw error;
      if (holder !== undefined && (await isExport(holder, exportDir))) {
        await askToStop(exportDir);
        ended = true;
      }
      if (performance.now() > deadline) {
        throw new TimeoutError('STILL_RUNNING', 'the worker of the export does not stop', {
          path: exportDir,
          found: `process ${holder?.pid ?? 'unknown'}`,
          hint:
            holder?.pid === undefined
              ? error.hint
              : `kill it, then run it again: kill ${holder.pid}`,
          cause: error,
        });
      }
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** For another user's operation, the record may be all that is known. */
async function isExport({ operation }: Holder, exportDir: string): Promise<boolean> {
  if (operation !== undefined) return operation === 'export';
  const record = await readRecord(exportDir);
  return record !== undefined && !hasEnded(record);
}

/** Makes the stop file, and never follows a link by its name. */
async function askToStop(exportDir: string): Promise<void> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY;
  try {
    await inDirectory(exportDir, async (directory) => {
      const file = await open(directory.at(STOP_FILE), flags);
      await file.close();
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // The export was asked before, or it has ended and removed the directory.
    if (code !== 'EEXIST' && code !== 'ENOENT') throw error;
  }
}
