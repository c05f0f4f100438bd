/** `export`: starts a worker process, and waits for it or detaches it. */
import { fork, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InterruptedError, SwingSnapError } from '../../errors.ts';
import { removeExportDirectory } from '../../formats/export-directory/remove.ts';
import { answers } from '../../io/disks/answering.ts';
import { missingDirectories, removeEmptyDirectories } from '../../io/files/made-directory.ts';
import { inheritedDescriptors } from '../../io/files/open-files.ts';
import type { Progress } from '../../io/progress.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import { hasEnded, readRecord, ReportedError } from '../lock/record.ts';
import { withLock } from '../lock/with-lock.ts';
import { GONE_AFTER_MS, KILL_AFTER_MS, workerStuck } from './end-worker.ts';
import type { ExportRequest } from './export-store.ts';
import type { FromWorker, ToWorker } from './worker-protocol.ts';

const WORKER_DIED = 'WORKER_DIED';

export interface StartExportOptions {
  readonly request: ExportRequest;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/** An export that continues in its own process. */
export interface StartedExport {
  readonly height: number;
  /** Process id of the worker. */
  readonly pid: number;
}

/**
 * Exports in a worker process, and waits for the process to end.
 * @throws as `exportStore`; {@link SwingSnapError} `WORKER_DIED`. The export directory is then as it was.
 * @throws {StorageError} `WORKER_STUCK` if it is aborted and even SIGKILL does not end the worker
 */
export async function runExport(options: StartExportOptions): Promise<ExportSummary> {
  const { exportDir } = options.request;
  const missing = missingDirectories(exportDir);
  const worker = new Worker(options);
  try {
    return await worker.done;
  } catch (error) {
    await worker.gone;
    await clearUpAfter(error, worker, exportDir, missing);
    throw error;
  }
}

/**
 * Starts an export in a worker process of its own, and returns as soon as its view is pinned.
 * @throws as `exportStore`, for anything that goes wrong until then
 */
export async function startDetachedExport(options: StartExportOptions): Promise<StartedExport> {
  const { request, signal } = options;
  const missing = missingDirectories(request.exportDir);
  const worker = new Worker(options);
  try {
    const started = await worker.started;
    signal?.throwIfAborted();
    worker.letGo();
    return started;
  } catch (error) {
    await worker.gone;
    await clearUpAfter(error, worker, request.exportDir, missing);
    throw error;
  }
}

/** Removes what a killed worker could not remove itself, if its disk answers. */
async function clearUpAfter(
  error: unknown,
  { pid, isKilled }: Worker,
  exportDir: string,
  missing: readonly string[],
): Promise<void> {
  if (!(error instanceof SwingSnapError) || error.code !== WORKER_DIED || isKilled) return;
  if (!(await answers(exportDir))) return;
  // If another operation is already at work there, it cleans up instead.
  await clearUp(pid, exportDir, missing).catch(() => undefined);
}

async function clearUp(pid: number, exportDir: string, missing: readonly string[]): Promise<void> {
  await withLock([exportDir], { operation: 'discard', exportDir }, async () => {
    const record = await readRecord(exportDir);
    if (record?.pid === pid && record.host === hostname() && !hasEnded(record)) {
      await removeExportDirectory(exportDir, { keepDirectory: true });
    }
    await removeEmptyDirectories(missing.toReversed());
  });
}

type Stdio = 'ignore' | 'inherit' | 'ipc' | number;

/**
 * Starts a worker without the descriptors that a wrapper of the command has left open, such as one that holds a lock
 * (`exec 200>lock; flock 200`): a detached worker would hold it on. Each is replaced by an empty one.
 */
function withoutInherited<Child>(own: readonly Stdio[], start: (stdio: Stdio[]) => Child): Child {
  const stdio = [...own];
  const empty = openSync('/dev/null', 'r');
  try {
    for (const fd of inheritedDescriptors()) {
      while (stdio.length < fd) stdio.push('ignore');
      if (fd >= own.length) stdio[fd] = empty;
    }
    return start(stdio);
  } finally {
    closeSync(empty);
  }
}

class Worker {
  readonly #child: ChildProcess;
  readonly #request: ExportRequest;
  readonly #progress: Progress;
  /** Resolves when the view is pinned, and rejects if the worker ends before that. */
  readonly started: Promise<StartedExport>;
  readonly done: Promise<ExportSummary>;
  /** Resolves when the process has ended, or is given up. */
  readonly gone: Promise<void>;
  /** Whether it had to be killed, because it did not stop when asked. */
  isKilled = false;
  /** Fails both promises, and ends the wait for the process. */
  readonly #stuck = new AbortController();

  constructor({ request, progress, signal }: StartExportOptions) {
    // The worker is next to this module, in the sources and in the build.
    const path = fileURLToPath(
      new URL(`export-worker${extname(import.meta.url)}`, import.meta.url),
    );
    const { detached } = request;
    const child = withoutInherited(
      ['ignore', 'ignore', detached ? 'ignore' : 'inherit', 'ipc'],
      (stdio) => fork(path, [], { detached, stdio }),
    );
    this.#child = child;
    this.#request = request;
    this.#progress = progress;
    this.gone = new Promise((resolve) => {
      child.once('exit', () => {
        resolve();
      });
      // A process that could not be started never exits.
      child.once('error', () => {
        if (child.pid === undefined) resolve();
      });
      this.#stuck.signal.addEventListener('abort', () => {
        resolve();
      });
    });
    const onAbort = (): void => {
      const reason: unknown = signal?.reason;
      const name =
        reason instanceof InterruptedError && reason.exitCode === 143 ? 'SIGTERM' : 'SIGINT';
      this.#tell({ type: 'stop', signal: name });
      this.#killLater();
    };
    this.started = new Promise((resolve, reject) => {
      child.on('message', (message: FromWorker) => {
        if (message.type === 'started') resolve({ height: message.height, pid: child.pid ?? 0 });
      });
      this.#onEnd(reject);
    });
    let isReporting = true;
    this.done = new Promise((resolve, reject) => {
      child.on('message', (message: FromWorker) => {
        if (message.type === 'done') resolve(message.summary);
        else if (isReporting) report(message, progress);
        // After its start, a detached worker is not reported on: the command is about to end.
        if (message.type === 'started' && detached) isReporting = false;
      });
      this.#onEnd(reject);
    });
    // Only one of the two is awaited; the other may be rejected without a handler.
    this.started.catch(() => undefined);
    this.done.catch(() => undefined);
    signal?.addEventListener('abort', onAbort);
    void this.gone.then(() => signal?.removeEventListener('abort', onAbort));
    this.#tell({ type: 'export', request });
    if (signal?.aborted === true) onAbort();
  }

  #onEnd(reject: (error: SwingSnapError) => void): void {
    this.#child.on('message', (message: FromWorker) => {
      if (message.type === 'failed') reject(new ReportedError(message.error));
    });
    this.#stuck.signal.addEventListener('abort', () => {
      reject(this.#stuck.signal.reason as SwingSnapError);
    });
    this.#child.once('error', (cause) => {
      reject(
        new SwingSnapError('WORKER', 'the export worker cannot be started', {
          found: cause.message,
          cause,
        }),
      );
    });
    this.#child.once('exit', (code, signal) => {
      reject(
        new SwingSnapError(WORKER_DIED, 'the export worker ended without a result', {
          found: signal ?? `exit code ${code}`,
          hint: 'check the system log for a lack of memory, then run it again',
        }),
      );
    });
  }

  /** Kills a worker that has not stopped after a while, and gives up one that not even this ends. */
  #killLater(): void {
    const { exportDir } = this.#request;
    const kill = setTimeout(() => {
      this.isKilled = true;
      this.#child.kill('SIGKILL');
      this.#progress.note(
        `killed process ${this.pid} of the export, which did not stop; to remove what it left: swingsnap discard --export-dir ${shellQuote(exportDir)}`,
      );
    }, KILL_AFTER_MS);
    const giveUp = setTimeout(() => {
      const error = workerStuck(this.pid, exportDir);
      // The command reports its signal, not this error.
      this.#progress.note(`${error.message}: ${error.found ?? ''}`);
      this.letGo();
      this.#stuck.abort(error);
    }, KILL_AFTER_MS + GONE_AFTER_MS);
    void this.gone.then(() => {
      clearTimeout(kill);
      clearTimeout(giveUp);
    });
  }

  #tell(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Lets the worker continue on its own. */
  letGo(): void {
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }
}

function report(message: FromWorker, progress: Progress): void {
  if (message.type === 'plan') progress.plan?.(message.phases);
  if (message.type === 'phase') progress.phase(message.name, message.total);
  if (message.type === 'advance') progress.advance(message.bytes, message.items);
  if (message.type === 'note') progress.note(message.message);
}
