/** Progress on a terminal: a spinner for the current phase, a ticked line for each finished phase. */

import ora, { type Ora } from 'ora';
import { WorkMeter, type Clock } from '../../io/work-meter.ts';
import { formatLine } from '../text/printable.ts';
import { statusLine, summaryLine } from './meter.ts';
import { monotonicClock, STARTING_AFTER, type CommandProgress } from './progress.ts';

/** Minimum time (ms) between two redraws: the library may report thousands of times a second. */
const REFRESH = 100;
/** The symbol and the blank before the text, and the last column, behind which some terminals wrap at once. */
const AROUND_TEXT = 3;

/**
 * Draws on `stream`, which must be a terminal.
 * @param options.hasColor by default true
 */
export function terminalProgress(
  stream: NodeJS.WriteStream,
  {
    clock = monotonicClock,
    hasColor = true,
  }: { readonly clock?: Clock; readonly hasColor?: boolean } = {},
): CommandProgress {
  return new TerminalProgress(stream, clock, hasColor);
}

class TerminalProgress implements CommandProgress {
  readonly notes: string[] = [];
  readonly #stream: NodeJS.WriteStream;
  readonly #clock: Clock;
  readonly #work: WorkMeter;
  readonly #spinner: Ora;
  readonly #starting: NodeJS.Timeout;
  #drawnAt = 0;

  constructor(stream: NodeJS.WriteStream, clock: Clock, hasColor: boolean) {
    this.#stream = stream;
    this.#clock = clock;
    this.#work = new WorkMeter(clock);
    // discardStdin sets raw mode. Ctrl-C would then wait for the event loop, which synchronous SQLite blocks.
    this.#spinner = ora({
      stream,
      isEnabled: true,
      discardStdin: false,
      color: hasColor ? 'cyan' : false,
    });
    this.#starting = setTimeout(() => {
      this.#spinner.start(this.#status());
    }, STARTING_AFTER).unref();
    stream.on('resize', this.#fitAnew);
  }

  plan(...[phases]: Parameters<WorkMeter['plan']>): void {
    this.#work.plan(phases);
  }

  phase(...[name, total]: Parameters<WorkMeter['phase']>): void {
    clearTimeout(this.#starting);
    this.#endPhase();
    this.#work.phase(name, total);
    this.#spinner.text = this.#status();
    this.#spinner.start();
  }

  advance(bytes: number, items?: number): void {
    this.#work.advance(bytes, items);
    this.#redraw();
  }

  beside(...[name, bytes, total]: Parameters<WorkMeter['beside']>): void {
    this.#work.beside(name, bytes, total);
    this.#redraw();
  }

  readonly note = (message: string): void => {
    this.notes.push(message);
    // Clear first: otherwise the spinner erases the note as if it were its own line.
    this.#spinner.clear();
    this.#stream.write(`${formatLine(message)}\n`);
    if (this.#spinner.isSpinning) this.#spinner.render();
  };

  finish(outcome: 'done' | 'failed'): void {
    clearTimeout(this.#starting);
    this.#stream.off('resize', this.#fitAnew);
    if (outcome === 'done') this.#endPhase();
    this.#spinner.stop();
  }

  #endPhase(): void {
    const { current } = this.#work;
    const summary = current && summaryLine(current, this.#clock(), this.#width);
    if (summary !== undefined) this.#spinner.succeed(summary);
  }

  #redraw(): void {
    const now = this.#clock();
    if (now - this.#drawnAt < REFRESH) return;
    this.#drawnAt = now;
    this.#spinner.text = this.#status();
  }

  #status(): string {
    return statusLine(this.#work, this.#clock(), this.#width);
  }

  get #width(): number {
    return Math.max(1, this.#stream.columns - AROUND_TEXT);
  }

  /** A terminal that became narrower has wrapped the line that stands there. The spinner would clear its last row only. */
  readonly #fitAnew = (): void => {
    if (!this.#spinner.isSpinning) return;
    const rows = Math.ceil((this.#spinner.text.length + 2) / this.#stream.columns);
    this.#spinner.stop();
    for (let row = 1; row < rows; row += 1) {
      this.#stream.moveCursor(0, -1);
      this.#stream.clearLine(0);
    }
    this.#spinner.start(this.#status());
  };
}
