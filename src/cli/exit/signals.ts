/** SIGINT and SIGTERM as an abort signal that the library obeys. */

import { EXIT_CODES, InterruptedError } from '../../errors.ts';

type StopSignal = 'SIGINT' | 'SIGTERM';

/** Ends with {@link SignalListener.dispose}, after which signals kill the process as they do by default. */
export interface SignalListener {
  /** Aborted by the first signal, with an {@link InterruptedError} as its reason. */
  readonly signal: AbortSignal;
  dispose(): void;
}

/**
 * Listens until disposed. The first signal aborts, so that what is half-built is removed; a second one exits at once,
 * which the order of writes makes safe at any moment.
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
