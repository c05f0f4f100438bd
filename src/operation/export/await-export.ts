/** Waits until the export in a directory is done, for `retrieve`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError, EXIT_CODES, NotFoundError, SwingSnapError } from '../../errors.ts';
import { MANIFEST_FILE } from '../../formats/export-directory/layout.ts';
import type { Progress } from '../../io/progress.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { operationOn } from '../lock/lock.ts';
import { fateOf, ReportedError, type OperationRecord } from '../lock/record.ts';

const LOOK_EVERY_MS = 200;
/** For this many checks, a holder without a notice may be the worker that is about to release the lock. */
const UNKNOWN_LOOKS = 10;

export interface AwaitExportOptions {
  /** If false, returns at once, or throws if the export is not done. */
  readonly wait: boolean;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for the operation whose record is in `exportDir`, if there is one. An export of another program is done when
 * it has a manifest.
 * @throws {BusyError} `NOT_DONE` if the export is not done and `wait` is false
 * @throws {SwingSnapError} `EXPORT_FAILED`, `EXPORT_DIED`; {@link NotFoundError} `EXPORT_DISCARDED`
 */
export async function awaitExport(exportDir: string, options: AwaitExportOptions): Promise<void> {
  const { wait, progress, signal } = options;
  let seen = false;
  let phase: string | undefined;
  let bytes = 0;
  let unknown = 0;
  for (;;) {
    signal?.throwIfAborted();
    const found = await fateOf(exportDir);
    if (found === undefined) {
      if (seen) throw wasDiscarded(exportDir);
      return;
    }
    const { fate, record } = found;
    const holder = fate === 'done' ? operationOn(exportDir) : undefined;
    // The worker releases the lock a moment after its record says `done`.
    if (holder !== undefined && holder.operation === undefined) unknown += 1;
    const isWorker = holder !== undefined && (holder.operation ?? 'export') === 'export';
    if (fate === 'done' && !(isWorker && unknown < UNKNOWN_LOOKS)) {
      if (existsSync(join(exportDir, MANIFEST_FILE))) return;
      // Without a manifest, a discard or the end of a retrieve is in progress or was killed.
      if (holder === undefined) throw wasDiscarded(exportDir);
    }
    if (fate === 'failed') {
      throw record.error?.code === 'DISCARDED'
        ? wasDiscarded(exportDir)
        : failed(exportDir, record);
    }
    if (fate === 'dead') throw died(exportDir, record);
    if (!wait) throw notDone(exportDir, record);
    seen = true;
    const { progress: now } = record;
    if (now !== undefined && now.phase !== phase) {
      phase = now.phase;
      bytes = 0;
      progress.phase(`export in progress: ${phase}`, {
        bytes: now.totalBytes,
        items: now.totalItems,
        awaited: true,
      });
    }
    if (now !== undefined) progress.advance(Math.max(0, now.bytes - bytes));
    bytes = now?.bytes ?? 0;
    await sleep(LOOK_EVERY_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {
      signal?.throwIfAborted();
    });
  }
}

function notDone(path: string, record: OperationRecord): BusyError {
  return new BusyError('NOT_DONE', 'the export is not done yet', {
    path,
    found: `${record.state}, process ${record.pid} on ${record.host}`,
    hint: `see its progress with: swingsnap status --export-dir ${shellQuote(path)}`,
  });
}

/** Any user who can write to the directory may have written the record, so its advice must not pass for ours. */
function failed(path: string, { error }: OperationRecord): SwingSnapError {
  const { message = 'no reason given', hint } = error ?? {};
  const advice = hint === undefined ? '' : `, and advises: ${hint}`;
  return new ReportedError({
    path,
    exitCode: EXIT_CODES.failed,
    ...error,
    code: 'EXPORT_FAILED',
    message: `the export failed; its record says: ${message}${advice}`,
    hint: 'run the export again',
  });
}

function died(path: string, record: OperationRecord): SwingSnapError {
  return new SwingSnapError('EXPORT_DIED', 'the export worker died before the export was done', {
    path,
    found: `${record.state}, process ${record.pid} on ${record.host}`,
    hint: 'run the export again, which removes the rest of this one, or use swingsnap discard',
  });
}

function wasDiscarded(path: string): NotFoundError {
  return new NotFoundError('EXPORT_DISCARDED', 'the export was discarded', {
    path,
    hint: 'run the export again',
  });
}
