/** Progress for programs: one JSON object a line. docs/json-output.md has the fields, which are promises. */

import { noProgress } from '../../io/progress.ts';
import { ProgressMeter } from '../../operation/lock/progress-meter.ts';
import { formatJson } from '../text/printable.ts';
import type { CommandProgress, LineStream } from './progress.ts';

/** The time between two lines of a phase, in ms. */
const EVERY = 1000;
/** How often in that time a line may become due. */
const LOOKS = 5;

/** What a line tells: how far the command is, the end of a phase, a note, a signal, or the error that ended it. */
export type ProgressEvent = 'progress' | 'phase' | 'note' | 'signal' | 'error';

/** One line, without its end. */
export function eventLine(event: ProgressEvent, facts: object): string {
  return formatJson({ event, at: new Date().toISOString(), ...facts });
}

/** A line when a phase begins and ends, one a second between them, and one for each note. */
export function jsonProgress(stream: LineStream): CommandProgress {
  return new JsonProgress(stream);
}

class JsonProgress implements CommandProgress {
  readonly notes: string[] = [];
  readonly #stream: LineStream;
  readonly #meter = new ProgressMeter(noProgress);
  readonly #ticking: NodeJS.Timeout;
  #toldAt = performance.now();
  #isInPhase = false;

  constructor(stream: LineStream) {
    this.#stream = stream;
    this.#ticking = setInterval(() => {
      this.#tellIfDue();
    }, EVERY / LOOKS).unref();
  }

  plan(...[phases]: Parameters<ProgressMeter['plan']>): void {
    this.#meter.plan(phases);
  }

  phase(...[name, total]: Parameters<ProgressMeter['phase']>): void {
    this.#endPhase();
    this.#meter.phase(name, total);
    this.#isInPhase = true;
    this.#tellProgress();
  }

  advance(bytes: number, items?: number): void {
    this.#meter.advance(bytes, items);
    this.#tellIfDue();
  }

  beside(...[name, bytes, total]: Parameters<ProgressMeter['beside']>): void {
    this.#meter.beside(name, bytes, total);
    this.#tellIfDue();
  }

  readonly note = (message: string): void => {
    this.notes.push(message);
    this.#tell('note', { message });
  };

  finish(outcome: 'done' | 'failed'): void {
    clearInterval(this.#ticking);
    if (outcome === 'failed') return;
    this.#endPhase();
    this.#tell('progress', this.#meter.atEnd);
  }

  #endPhase(): void {
    if (!this.#isInPhase) return;
    const { phase, bytes, items, elapsed } = this.#meter.now;
    this.#tell('phase', { phase, bytes, items, elapsed });
  }

  #tellIfDue(): void {
    if (performance.now() - this.#toldAt >= EVERY) this.#tellProgress();
  }

  #tellProgress(): void {
    this.#toldAt = performance.now();
    this.#tell('progress', this.#meter.now);
  }

  #tell(event: ProgressEvent, facts: object): void {
    this.#stream.write(`${eventLine(event, facts)}\n`);
  }
}
