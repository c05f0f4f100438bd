import { describe, expect, it } from 'vitest';
import { noProgress } from '../../../src/io/progress.ts';
import { ProgressMeter } from '../../../src/operation/lock/progress-meter.ts';

describe('the progress that status shows', () => {
  it('is that of the phase, with the percentage of the whole', () => {
    const meter = new ProgressMeter(noProgress);
    expect(meter.now).toMatchObject({ phase: 'starting', bytes: 0, items: 0 });
    expect(meter.now).not.toHaveProperty('percent');
    meter.plan([
      { name: 'export data', bytes: 100 },
      { name: 'artifacts', bytes: 300 },
    ]);
    meter.phase('export data', { bytes: 100, items: 10 });
    meter.advance(50, 5);
    const elapsed = expect.any(Number) as number;
    expect(meter.now).toEqual({
      phase: 'export data',
      bytes: 50,
      items: 5,
      totalBytes: 100,
      totalItems: 10,
      elapsed,
      percent: 12,
    });
    meter.phase('artifacts', { bytes: 300 });
    meter.advance(300);
    expect(meter.now.percent).toBe(99);
    expect(meter.atEnd).toMatchObject({ phase: 'artifacts', bytes: 300, percent: 100 });
    expect(meter.atEnd).not.toHaveProperty('timeLeft');
  });

  it('is passed on', () => {
    const calls: string[] = [];
    const meter = new ProgressMeter({
      plan: () => void calls.push('plan'),
      phase: () => void calls.push('phase'),
      advance: () => void calls.push('advance'),
      beside: () => void calls.push('beside'),
      note: () => void calls.push('note'),
    });
    meter.plan([]);
    meter.phase('artifacts');
    meter.advance(1);
    meter.beside('wasm', 1, 2);
    meter.note('told');
    expect(calls).toEqual(['plan', 'phase', 'advance', 'beside', 'note']);
  });
});
