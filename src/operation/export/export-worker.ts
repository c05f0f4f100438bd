/**
 * The process that exports. Without `--detach`, it stops when the channel to its command closes, however the command
 * ended. With `--detach`, it runs on its own once it has started.
 */
import { Worker } from 'node:worker_threads';
import { InterruptedError, SwingSnapError } from '../../errors.ts';
import type { Progress } from '../../io/progress.ts';
import { reportOf } from '../lock/record.ts';
import { CLEAN_UP_MS } from './end-worker.ts';
import { exportStore, type ExportRequest } from './export-store.ts';
import type { FromWorker, ToWorker } from './worker-protocol.ts';

/** How often progress is sent, in milliseconds. */
const TELL_EVERY_MS = 100;

const stop = new AbortController();
stop.signal.addEventListener('abort', endSoon);

process.on('message', (message: ToWorker) => {
  if (message.type === 'stop') stop.abort(new InterruptedError(message.signal));
  else void work(message.request);
});
// SIGINT and SIGHUP from a terminal are meant for the command, which passes on what it chooses.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('SIGTERM', () => {
  stop.abort(new InterruptedError('SIGTERM'));
});

async function work(request: ExportRequest): Promise<void> {
  if (request.detached) {
    // Lets the file system of the command's working directory be unmounted meanwhile.
    process.chdir('/');
  } else {
    process.on('disconnect', () => {
      stop.abort(new SwingSnapError('ORPHANED', 'the command that started the export has ended'));
    });
    if (!process.connected) return;
    watchForOrphan();
  }
  const progress = tellingProgress();
  try {
    const summary = await exportStore({
      ...request,
      progress,
      signal: stop.signal,
      onStarted: (height) => {
        tell({ type: 'started', height });
      },
      onStop: endSoon,
      isHeard: () => process.connected,
    });
    progress.flush();
    tell({ type: 'done', summary });
  } catch (error) {
    tell({ type: 'failed', error: reportOf(error) });
  }
  if (process.connected) process.disconnect();
  endSoon();
}

/** Kills this process unless it ends. A call that a disk never answers keeps it alive, also within `process.exit`. */
function endSoon(): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), CLEAN_UP_MS).unref();
}

function watchForOrphan(): void {
  // A thread cannot load TypeScript.
  if (import.meta.url.endsWith('.ts')) return;
  const watch = new Worker(new URL('orphan-watch.js', import.meta.url), {
    workerData: process.ppid,
  });
  watch.unref();
}

function tell(message: FromWorker): void {
  // The command may have exited.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Sends progress over the channel, with small steps combined. */
function tellingProgress(): Progress & { flush(): void } {
  let bytes = 0;
  let items = 0;
  let last = 0;
  const flush = (): void => {
    if (bytes > 0 || items > 0) tell({ type: 'advance', bytes, items });
    bytes = 0;
    items = 0;
    last = performance.now();
  };
  return {
    flush,
    plan: (phases) => {
      flush();
      tell({ type: 'plan', phases });
    },
    phase: (name, total = {}) => {
      flush();
      tell({ type: 'phase', name, total });
    },
    advance: (moreBytes, moreItems = 0) => {
      bytes += moreBytes;
      items += moreItems;
      if (performance.now() - last >= TELL_EVERY_MS) flush();
    },
    note: (message) => {
      tell({ type: 'note', message });
    },
  };
}
