import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { jsonProgress } from '../../../src/cli/progress/json-progress.ts';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

function started() {
  const lines: string[] = [];
  const progress = jsonProgress({ write: (text: string) => lines.push(text) });
  /** The objects of the lines since the last call, without their time. */
  const told = (): object[] =>
    lines.splice(0).map((line) => {
      expect(line.indexOf('\n')).toBe(line.length - 1);
      const { at, ...rest } = JSON.parse(line) as { at: string };
      expect(at).toMatch(/^2023-11-14T22:13:2\d\.\d{3}Z$/u);
      return rest;
    });
  return { progress, told };
}

describe('progress for programs', () => {
  it('is a line when a phase begins and ends, and at most one a second between', () => {
    const { progress, told } = started();
    progress.plan?.([
      { name: 'export data', bytes: 1000 },
      { name: 'artifacts', bytes: 3000 },
    ]);
    progress.phase('export data', { bytes: 1000, items: 10 });
    const start = { event: 'progress', phase: 'export data', bytes: 0, items: 0 };
    const totals = { totalBytes: 1000, totalItems: 10 };
    expect(told()).toEqual([{ ...start, ...totals, elapsed: 0, percent: 0 }]);
    for (let at = 0; at < 20; at += 1) {
      vi.advanceTimersByTime(200);
      progress.advance(25, 0);
    }
    const lines = told();
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toMatchObject({ event: 'progress', bytes: 475, percent: 11 });
    expect(lines.at(-1)).toHaveProperty('timeLeft');
    progress.phase('artifacts', { bytes: 3000 });
    expect(told()).toEqual([
      { event: 'phase', phase: 'export data', bytes: 500, items: 0, elapsed: 4000 },
      expect.objectContaining({ event: 'progress', phase: 'artifacts', bytes: 0 }),
    ]);
    progress.advance(3000, 2);
    progress.finish('done');
    expect(told()).toMatchObject([
      { event: 'phase', phase: 'artifacts', bytes: 3000, items: 2 },
      { event: 'progress', phase: 'artifacts', bytes: 3000, percent: 100 },
    ]);
    vi.advanceTimersByTime(5000);
    expect(told()).toEqual([]);
  });

  it('goes on while nothing advances, also before the first phase', () => {
    const { progress, told } = started();
    vi.advanceTimersByTime(1000);
    expect(told()).toMatchObject([{ event: 'progress', phase: 'starting', elapsed: 1000 }]);
    progress.phase('waiting for height 7', { awaited: true });
    vi.advanceTimersByTime(2000);
    expect(told().slice(1)).toMatchObject([
      { phase: 'waiting for height 7', elapsed: 1000 },
      { phase: 'waiting for height 7', elapsed: 2000 },
    ]);
    progress.finish('failed');
    expect(told()).toEqual([]);
  });

  it('has a line for each note, safe to print, and keeps it', () => {
    const { progress, told } = started();
    progress.note('two\nlines \u202e');
    expect(told()).toEqual([{ event: 'note', message: 'two\nlines \u202e' }]);
    expect(progress.notes).toEqual(['two\nlines \u202e']);
  });
});
