/** Progress on a terminal: one spinning line for the phase under way, a ticked line for each that is over. */

import ora from 'ora';
import { formatLine } from '../text/printable.ts';
import { Meter } from './meter.ts';
import { monotonicClock, type Clock, type CommandProgress } from './progress.ts';

/** The text is rebuilt at most once in this time (ms): the library may report thousands of times a second. */
const REFRESH = 100;

/** Draws on `stream`, which must be a terminal. */
export function terminalProgress(
  stream: NodeJS.WritableStream,
  clock: Clock = monotonicClock,
): CommandProgress {
  // With stdin in raw mode, Ctrl-C would wait for the event loop, which synchronous SQLite keeps busy.
  const spinner = ora({ stream, isEnabled: true, discardStdin: false });
  const notes: string[] = [];
  let meter: Meter | undefined;
  let drawnAt = 0;
  const endPhase = (): void => {
    if (meter !== undefined) spinner.succeed(formatLine(meter.summary(clock())));
    meter = undefined;
  };
  return {
    notes,
    phase: (name, total = {}) => {
      endPhase();
      drawnAt = clock();
      meter = new Meter(name, total, drawnAt);
      spinner.start(formatLine(name));
    },
    advance: (bytes, items = 0) => {
      if (meter === undefined) return;
      meter.add(bytes, items);
      const now = clock();
      if (now - drawnAt < REFRESH) return;
      drawnAt = now;
      spinner.text = formatLine(meter.status(now));
    },
    note: (message) => {
      notes.push(message);
      // Between two frames: the spinner would otherwise erase the line it believes to be its own.
      spinner.clear();
      stream.write(`${formatLine(message)}\n`);
      if (meter !== undefined) spinner.render();
    },
    finish: (outcome) => {
      if (outcome === 'done') endPhase();
      meter = undefined;
      spinner.stop();
    },
  };
}
