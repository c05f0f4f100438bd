/** Turns SIGINT and SIGTERM into an abort signal for the library. */

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
