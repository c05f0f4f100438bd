/** `status`: what is in progress, how far, and at what rate. */
import { NotFoundError } from '../errors.ts';
import { databasePath } from '../formats/swing-store/layout.ts';
import { statIfThere } from '../io/files/stat-if-there.ts';
import { lockedPathsOf, operationOn } from './lock/lock.ts';
import type { Notice, OperationProgress } from './lock/notice.ts';
import { fateOf, type Fate, type OperationRecord } from './lock/record.ts';
import { readPairing, type Pairing } from './pairing/pairing.ts';

/** What is known of an operation. Sizes are in bytes, and durations in milliseconds. */
export interface OperationStatus {
  /** `none` if no operation is in progress, and none has left a record. */
  readonly state: Fate | 'waiting' | 'none';
  readonly operation?: Notice['operation'] | undefined;
  readonly height?: number | undefined;
  /** The height that the operation waits for. */
  readonly awaitedHeight?: number | undefined;
  readonly stateDir?: string | undefined;
  readonly exportDir?: string | undefined;
  readonly pid?: number | undefined;
  /** User id of the process, if it belongs to another user or has no notice. */
  readonly uid?: number | undefined;
  readonly host?: string | undefined;
  /** ISO 8601, UTC. */
  readonly since?: string | undefined;
  readonly progress?: OperationProgress | undefined;
  /** Bytes of the store's `-wal`. */
  readonly walBytes?: number | undefined;
  readonly failure?: OperationRecord['error'];
  /** How the store stands to the multistore of the home; undefined if none was found, or no home named. */
  readonly multistore?: Pairing | undefined;
}

/** The export directory or the store to report on. */
export type StatusOptions = { readonly exportDir: string } | StoreStatusOptions;

interface StoreStatusOptions {
  readonly stateDir: string;
  /** The home that the state dir is a part of: its multistore is compared with the store. */
  readonly home?: string | undefined;
  /** Receives notes for the operator, one line each. */
  readonly note?: ((message: string) => void) | undefined;
}

/**
 * Reports what is in progress on an export directory, or on a store (also on one that a restore is about to make).
 * @throws {NotFoundError} `NO_EXPORT`, `STORE_MISSING` if nothing is there
 */
export async function status(of: StatusOptions): Promise<OperationStatus> {
  return 'exportDir' in of ? statusOfExport(of.exportDir) : statusOfStore(of);
}

/**
 * The operation of an export directory.
 * @throws {NotFoundError} `NO_EXPORT` if there is no directory
 */
async function statusOfExport(exportDir: string): Promise<OperationStatus> {
  const found = await fateOf(exportDir);
  if (found === undefined) {
    if (statIfThere(exportDir) === undefined) {
      throw new NotFoundError('NO_EXPORT', 'nothing there', {
        path: exportDir,
        hint: 'start one with: swingsnap export --export-dir <dir>',
      });
    }
    const holder = operationOn(exportDir);
    return holder === undefined ? { state: 'none', exportDir } : { state: 'running', ...holder };
  }
  const { fate, record } = found;
  const reader = fate === 'done' ? operationOn(exportDir) : undefined;
  // The export itself releases the lock a moment after it has written its final state.
  if (reader !== undefined && reader.operation !== 'export') return { state: 'running', ...reader };
  const { state, stateDir, height, awaitedHeight, pid, host, startedAt, progress, error } = record;
  return {
    state: fate === 'running' && state === 'waiting' ? 'waiting' : fate,
    operation: 'export',
    height,
    awaitedHeight,
    stateDir,
    exportDir,
    pid,
    host,
    since: startedAt,
    progress,
    walBytes: fate === 'running' && stateDir !== undefined ? walBytes(stateDir) : undefined,
    failure: error,
  };
}

/**
 * The operation on a store, also on one that a restore is about to make.
 * @throws {NotFoundError} `STORE_MISSING` if there is neither store nor operation
 */
async function statusOfStore({
  stateDir,
  home,
  note = () => undefined,
}: StoreStatusOptions): Promise<OperationStatus> {
  const path = databasePath(stateDir);
  const isThere = statIfThere(path) !== undefined;
  const holder = operationOn(...lockedPathsOf(stateDir));
  const multistore =
    isThere && home !== undefined ? await readPairing(stateDir, home, { note }) : undefined;
  const store = { walBytes: walBytes(stateDir), multistore };
  if (holder !== undefined) {
    const waiting = holder.awaitedHeight !== undefined && holder.height === undefined;
    return { state: waiting ? 'waiting' : 'running', ...holder, ...store };
  }
  if (!isThere) {
    throw new NotFoundError('STORE_MISSING', 'no SwingStore there', {
      path,
      hint: 'name the directory that holds swingstore.sqlite with --state-dir, or the node with --home',
    });
  }
  return { state: 'none', stateDir, ...store };
}

function walBytes(stateDir: string): number | undefined {
  return statIfThere(`${databasePath(stateDir)}-wal`)?.size;
}
