/** Describes the progress of a phase in text. Totals may be missing, and an estimate may be too low. */

import type { ProgressTotal } from '../../io/progress.ts';
import { formatBytes, formatDuration, formatPercent, formatRate } from '../text/format.ts';

/** Before this time (ms), a rate is mostly noise. */
const STEADY_AFTER = 1000;

/** One phase of a command. The caller passes the time (ms). */
export class Meter {
  #bytes = 0;
  #items = 0;

  constructor(
    readonly name: string,
    readonly total: ProgressTotal,
    readonly startedAt: number,
  ) {}

  add(bytes: number, items: number): void {
    this.#bytes += bytes;
    this.#items += items;
  }

  /** `export data: 43%, 1.2 GB of 2.8 GB, 85.0 MB/s, 20s left`, without unknown parts. */
  status(now: number): string {
    const elapsed = now - this.startedAt;
    const measure = this.#measure();
    const parts: string[] = [];
    if (measure !== undefined) parts.push(formatPercent(measure.done, measure.total));
    parts.push(...this.#amounts());
    if (elapsed >= STEADY_AFTER) {
      if (this.#bytes > 0) parts.push(formatRate(this.#bytes, elapsed));
      if (measure !== undefined && measure.done > 0 && measure.done < measure.total) {
        const left = (elapsed * (measure.total - measure.done)) / measure.done;
        parts.push(`${formatDuration(left)} left`);
      }
    }
    return this.#line(parts);
  }

  /** `export data: 2.8 GB in 33s, 85.0 MB/s`, for a finished phase. */
  summary(now: number): string {
    const elapsed = now - this.startedAt;
    const amounts = [
      ...(this.#bytes > 0 ? [formatBytes(this.#bytes)] : []),
      ...(this.#items > 0 ? [`${this.#items} ${this.#unit}`] : []),
    ];
    const took = `${amounts.join(', ')}${amounts.length > 0 ? ' ' : ''}in ${formatDuration(elapsed)}`;
    const steady = elapsed >= STEADY_AFTER && this.#bytes > 0;
    return this.#line([took, ...(steady ? [formatRate(this.#bytes, elapsed)] : [])]);
  }

  /** Basis for percent and time left. Undefined once the total is exceeded. */
  #measure(): { done: number; total: number } | undefined {
    const { bytes, items } = this.total;
    if (bytes !== undefined && bytes > 0) {
      return this.#bytes <= bytes ? { done: this.#bytes, total: bytes } : undefined;
    }
    if (items !== undefined && items > 0) {
      return this.#items <= items ? { done: this.#items, total: items } : undefined;
    }
    return undefined;
  }

  #amounts(): string[] {
    const { bytes, items } = this.total;
    return [
      ...(this.#bytes > 0 ? [formatBytes(this.#bytes) + of(bytes, this.#bytes, formatBytes)] : []),
      ...(this.#items > 0 ? [`${this.#items}${of(items, this.#items, String)} ${this.#unit}`] : []),
    ];
  }

  get #unit(): string {
    return this.total.unit ?? 'items';
  }

  #line(parts: readonly string[]): string {
    return parts.length === 0 ? this.name : `${this.name}: ${parts.join(', ')}`;
  }
}

function of(total: number | undefined, done: number, format: (value: number) => string): string {
  return total === undefined || total < done ? '' : ` of ${format(total)}`;
}
