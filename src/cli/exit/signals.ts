/** Turns SIGINT and SIGTERM into an abort signal for the library. */

import { spawn } from 'node:child_process';
import { EXIT_CODES, InterruptedError } from '../../errors.ts';

type StopSignal = 'SIGINT' | 'SIGTERM';

/** After {@link SignalListener.dispose}, signals kill the process again, as by default. */
export interface SignalListener {
  /** The first signal aborts it, with an {@link InterruptedError} as the reason. */
  readonly signal: AbortSignal;
  dispose(): void;
}

/**
 * Listens until disposed. The first signal aborts, so that half-built files are removed. A second signal exits at once.
 * That is safe at any moment, because of the order of writes.
 */
export function listenForSignals(onStop: (signal: StopSignal) => void): SignalListener {
  const controller = new AbortController();
  const onSignal = (signal: StopSignal): void => {
    if (controller.signal.aborted) {
      killUnlessGone();
      process.exit(signal === 'SIGINT' ? EXIT_CODES.interrupted : EXIT_CODES.terminated);
    }
    controller.abort(new InterruptedError(signal));
    onStop(signal);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    dispose: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}

/** Two seconds are enough to exit. `timeout` tells that they are over: with 124, in older busybox with 143. */
const KILL_UNLESS_GONE = 'timeout 2 cat; case $? in 124 | 143) kill -KILL $PPID ;; esac';

/**
 * `process.exit` waits for calls of the thread pool, which a disk that does not answer keeps for ever. So a shell kills
 * this process, unless it ends: then its end of the pipe is closed.
 */
function killUnlessGone(): void {
  const killer = spawn('sh', ['-c', KILL_UNLESS_GONE], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // A terminal sends its signals to the whole group.
    detached: true,
    cwd: '/',
  });
  // Without a shell, the process ends as far as Node can.
  killer.on('error', () => undefined);
  killer.unref();
}
