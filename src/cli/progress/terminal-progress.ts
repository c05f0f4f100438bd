/** Progress on a terminal: a spinner for the current phase, a ticked line for each finished phase. */

import ora from 'ora';
import { formatLine } from '../text/printable.ts';
import { Meter } from './meter.ts';
import { monotonicClock, type Clock, type CommandProgress } from './progress.ts';

/** Minimum time (ms) between two redraws: the library may report thousands of times a second. */
const REFRESH = 100;

/** Draws on `stream`, which must be a terminal. */
export function terminalProgress(
  stream: NodeJS.WritableStream,
  clock: Clock = monotonicClock,
): CommandProgress {
  // discardStdin sets raw mode. Ctrl-C would then wait for the event loop, which synchronous SQLite blocks.
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
      // Clear first: otherwise the spinner erases the note as if it were its own line.
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
