/** `discard`: ends an export that is no longer wanted, and removes it. */
import { constants, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError, SwingSnapError, TimeoutError, UsageError } from '../errors.ts';
import { MANIFEST_FILE, STOP_FILE } from '../formats/export-directory/layout.ts';
import {
  isExportDirectory,
  removeHeldExport,
  type Removal,
} from '../formats/export-directory/remove.ts';
import { answers, refuseSilent } from '../io/disks/answering.ts';
import { hasDescriptors } from '../io/files/descriptor-names.ts';
import { HeldDirectory, inDirectory } from '../io/files/held-directory.ts';
import { statIfThere } from '../io/files/stat-if-there.ts';
import { GONE_AFTER_MS, KILL_AFTER_MS, workerStuck } from './export/end-worker.ts';
import type { Holder } from './lock/holder.ts';
import {
  describeHolder,
  describeProcess,
  exportInto,
  howToEnd,
  lockedPathsOf,
  lockOperation,
  operationOn,
  type OperationLock,
} from './lock/lock.ts';
import { hasEnded, readRecord } from './lock/record.ts';

const LOOK_EVERY_MS = 100;
/** How long a worker may take to stop when asked, in milliseconds. */
const DEFAULT_PATIENCE_MS = 60_000;
/** How long the disk of a known export may take to answer, before its worker is ended without it, in milliseconds. */
const DISK_PATIENCE_MS = 5_000;

export interface DiscardOptions {
  readonly signal?: AbortSignal | undefined;
  /** Maximum wait for the worker to end, in milliseconds. */
  readonly patience?: number | undefined;
  /** Maximum wait for the worker to end by itself, in milliseconds; then it is killed. */
  readonly grace?: number | undefined;
}

/** What {@link discard} did. */
export interface Discarded extends Removal {
  /** Whether an export in progress was ended. */
  readonly ended: boolean;
}

/**
 * Asks an export in progress to stop, waits until its worker is gone, and removes the export in `exportDir`: the
 * files that its manifest, its journal and its record name, then the directory if it is empty. A missing directory is
 * a success. A worker that does not stop is killed.
 * @throws {UsageError} `NOT_A_DIRECTORY`; {@link SwingSnapError} `NOT_AN_EXPORT` if the directory is not an export
 * @throws {BusyError} `BUSY` if a `retrieve` is reading it; {@link TimeoutError} `STILL_RUNNING`
 * @throws {StorageError} `WORKER_STUCK` if even SIGKILL does not end the worker; `NO_ANSWER`
 */
export async function discard(exportDir: string, options: DiscardOptions = {}): Promise<Discarded> {
  const { lock, asked } = await takeOver(resolve(exportDir), options);
  let directory: HeldDirectory | undefined;
  try {
    if (statIfThere(exportDir) === undefined) {
      return { ended: asked, files: 0, size: 0, gone: true, left: [] };
    }
    directory = HeldDirectory.openLinked(exportDir);
    // Asked too late, it was complete.
    const ended = asked && !existsSync(join(directory.path, MANIFEST_FILE));
    // An export that was asked to stop may have left no files of its own in a directory that existed before it.
    if (!asked && !isExportDirectory(directory.path)) {
      throw new SwingSnapError('NOT_AN_EXPORT', 'not an export: nothing was removed', {
        path: exportDir,
        expected: 'export-manifest.json, or the record of an operation of swingsnap',
        hint: 'check the path; if the directory is the right one, remove it by hand',
      });
    }
    return { ended, ...(await removeHeldExport(directory)) };
  } finally {
    directory?.close();
    lock.release();
  }
}

/**
 * {@link discard} of the export that is in progress on a store.
 * @returns its directory too; undefined if no operation is in progress
 * @throws {BusyError} `BUSY` if the operation is not an export, or nothing tells its directory
 */
export async function discardExportOf(
  stateDir: string,
  options: DiscardOptions = {},
): Promise<(Discarded & { readonly exportDir: string }) | undefined> {
  const holder = operationOn(...lockedPathsOf(stateDir));
  if (holder === undefined) return undefined;
  const { operation, exportDir } = holder;
  if (operation === 'export' && exportDir !== undefined) {
    return { exportDir, ...(await discard(exportDir, options)) };
  }
  const isOther = operation !== undefined && operation !== 'export';
  throw new BusyError('BUSY', `${describeHolder(holder)} is in progress`, {
    path: stateDir,
    expected: isOther ? 'an export' : 'an export of this user',
    found: describeProcess(holder),
    hint: howToEnd(holder),
  });
}

/** Waits for the directory's lock, asking an export that holds it, or is about to, to stop. */
async function takeOver(
  exportDir: string,
  { signal, patience = DEFAULT_PATIENCE_MS, grace = KILL_AFTER_MS }: DiscardOptions,
): Promise<{ lock: OperationLock; asked: boolean }> {
  const deadline = performance.now() + patience;
  const ending = new Ending(exportDir, grace);
  await endSilent(exportDir, ending);
  for (;;) {
    signal?.throwIfAborted();
    if (statIfThere(exportDir)?.isDirectory() === false) {
      throw new UsageError(
        'NOT_A_DIRECTORY',
        'the path of the export directory is not a directory',
        {
          path: exportDir,
        },
      );
    }
    const { lock, error } = tryLock(exportDir);
    const holder = lock === undefined ? operationOn(exportDir) : exportInto(exportDir);
    if (lock !== undefined && holder === undefined) return { lock, asked: ending.isAsked };
    lock?.release();
    // A retrieve wins: it uses the export. Another discard is waited for.
    if (error !== undefined && holder?.operation === 'retrieve') throw error;
    if (holder !== undefined && (await isExport(holder, exportDir))) {
      await ending.ask(holder, lock === undefined ? 'by file' : 'by signal');
    }
    if (performance.now() > deadline) {
      throw new TimeoutError('STILL_RUNNING', 'the worker of the export does not stop', {
        path: exportDir,
        found: `process ${holder?.pid ?? 'unknown'}`,
        hint:
          holder?.pid === undefined
            ? error?.hint
            : `kill it, then run it again: kill ${holder.pid}`,
        cause: error,
      });
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** Ends an export whose disk does not answer, by what is known of it without that disk. */
async function endSilent(exportDir: string, ending: Ending): Promise<void> {
  let holder = exportInto(exportDir);
  if (holder === undefined) {
    await refuseSilent(exportDir);
    return;
  }
  if (await answers(exportDir, DISK_PATIENCE_MS)) return;
  for (; holder !== undefined; holder = exportInto(exportDir)) {
    await ending.ask(holder, 'by signal');
    await sleep(LOOK_EVERY_MS);
  }
  await refuseSilent(exportDir, DISK_PATIENCE_MS);
}

/** @returns `error` if another operation holds the lock */
function tryLock(exportDir: string): { lock?: OperationLock; error?: BusyError } {
  try {
    return { lock: lockOperation([exportDir], { operation: 'discard', exportDir }) };
  } catch (error) {
    if (error instanceof BusyError) return { error };
    throw error;
  }
}

/** For another user's operation, the record may be all that is known. */
async function isExport({ operation }: Holder, exportDir: string): Promise<boolean> {
  if (operation !== undefined) return operation === 'export';
  const record = await readRecord(exportDir);
  return record !== undefined && !hasEnded(record);
}

/** The end of an export's worker: it is asked once, killed if it does not stop, and given up if that does not help. */
class Ending {
  readonly #exportDir: string;
  readonly #grace: number;
  #pid: number | undefined;
  #askedAt: number | undefined;
  #killedAt: number | undefined;

  constructor(exportDir: string, grace: number) {
    this.#exportDir = exportDir;
    this.#grace = grace;
  }

  get isAsked(): boolean {
    return this.#askedAt !== undefined;
  }

  /**
   * Takes the next step; to be called until the worker is gone.
   * @param how a worker that has not made its directory looks for no file in it
   * @throws {StorageError} `WORKER_STUCK`
   */
  async ask({ operation, pid }: Holder, how: 'by file' | 'by signal'): Promise<void> {
    const now = performance.now();
    // Only where the kernel names the process is it surely the one that holds the lock.
    const mayKill = hasDescriptors && operation === 'export' && pid !== undefined && pid > 1;
    if (this.#askedAt === undefined || this.#pid !== pid) {
      this.#pid = pid;
      this.#askedAt = now;
      this.#killedAt = undefined;
      if (how === 'by signal' && mayKill) send(pid, 'SIGTERM');
    }
    if (how === 'by file') await askToStop(this.#exportDir);
    if (!mayKill) return;
    if (this.#killedAt === undefined && now - this.#askedAt > this.#grace) {
      this.#killedAt = now;
      send(pid, 'SIGKILL');
    }
    if (this.#killedAt !== undefined && now - this.#killedAt > GONE_AFTER_MS) {
      throw workerStuck(pid, this.#exportDir);
    }
  }
}

function send(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended, or belongs to another user.
  }
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
