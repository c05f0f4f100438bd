/** Describes progress in text. Totals may be missing, and an estimate may be too low. */

import type { Phase, WorkMeter } from '../../io/work-meter.ts';
import { formatBytes, formatDuration, formatOf, formatRate } from '../text/format.ts';
import { formatLine } from '../text/printable.ts';

/** Before this time (ms), a rate is mostly noise. */
const STEADY_AFTER = 1000;

/**
 * `43%, 20s left, export data: 1.2 GB of 2.8 GB, 85.0 MB/s`, without unknown parts. Percent and time left are those of
 * the whole operation, the rest is of the current phase. What does not fit is left out, from the end.
 * @param width the most columns
 */
export function statusLine(work: WorkMeter, now: number, width = Infinity): string {
  const { percent, timeLeft, current } = work;
  const head = [
    ...(percent === undefined ? [] : [`${percent}%`]),
    ...(timeLeft === undefined ? [] : [`${formatDuration(timeLeft)} left`]),
  ];
  if (current === undefined) return fitting([[...head, 'starting']], width);
  const [first, ...rest] = [...amounts(current), ...rate(current, now)];
  const named = first === undefined ? current.name : `${current.name}: ${first}`;
  const whole = [...head, named, ...rest];
  const shorter = rest.map((_, at) => whole.slice(0, -(at + 1)));
  return fitting([whole, ...shorter, [...head, current.name]], width);
}

/**
 * `export data: 2.8 GB in 33s, 85.0 MB/s`, for a finished phase. Undefined for one that did nothing, or only waited.
 */
export function summaryLine(phase: Phase, now: number, width = Infinity): string | undefined {
  const { name, bytes, items, total } = phase;
  const elapsed = now - phase.startedAt;
  const didNothing = bytes === 0 && items === 0 && elapsed < STEADY_AFTER;
  if (total.awaited === true || didNothing) return undefined;
  const done = [
    ...(bytes > 0 ? [formatBytes(bytes)] : []),
    ...(items > 0 ? [`${items} ${unitOf(phase)}`] : []),
  ].join(', ');
  const took = `in ${formatDuration(elapsed)}`;
  const whole = `${name}: ${done}${done === '' ? '' : ' '}${took}`;
  return fitting([[whole, ...rate(phase, now)], [whole], [`${name}: ${took}`]], width);
}

/** The first of the lines that fits, each given in parts; else the last one, cut. Safe to print. */
function fitting(lines: readonly (readonly string[])[], width: number): string {
  const texts = lines.map((parts) => formatLine(parts.join(', ')));
  const last = texts.at(-1) ?? '';
  return texts.find(({ length }) => length <= width) ?? `${last.slice(0, Math.max(0, width - 1))}…`;
}

function amounts(phase: Phase): string[] {
  const { bytes, items, total } = phase;
  return [
    ...(bytes > 0 ? [formatOf(bytes, total.bytes, formatBytes)] : []),
    ...(items > 0 ? [`${formatOf(items, total.items, String)} ${unitOf(phase)}`] : []),
  ];
}

function rate({ bytes, startedAt }: Phase, now: number): string[] {
  const elapsed = now - startedAt;
  return elapsed >= STEADY_AFTER && bytes > 0 ? [formatRate(bytes, elapsed)] : [];
}

function unitOf({ total }: Phase): string {
  return total.unit ?? 'items';
}
