import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ofPass, noProgress, withinPhase } from '../../src/io/progress.ts';
import { WorkMeter } from '../../src/io/work-meter.ts';

function meter() {
  const time = { now: 0 };
  return { time, work: new WorkMeter(() => time.now) };
}

/** A phase: what is planned, what is told at its start, and the steps that are really done. */
const phases = fc.array(
  fc.record({
    planned: fc.nat(1000),
    told: fc.option(fc.nat(1000), { nil: undefined }),
    steps: fc.array(fc.nat(100), { maxLength: 12 }),
    corrected: fc.option(fc.nat(2000), { nil: undefined }),
    beside: fc.option(fc.nat(500), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 6 },
);

describe('the part of an operation that is done', () => {
  it('never goes back, and is never all of it, whatever was planned', () => {
    fc.assert(
      fc.property(phases, (operation) => {
        const { work } = meter();
        const seen: number[] = [];
        const look = (): void => void seen.push(work.part ?? 0);
        work.plan(operation.map(({ planned }, at) => ({ name: `${at}`, bytes: planned })));
        for (const [at, { told, steps, corrected, beside }] of operation.entries()) {
          work.phase(`${at}`, { bytes: told });
          look();
          for (const step of steps) {
            work.advance(step, 1);
            look();
          }
          if (beside !== undefined) work.beside('wasm', beside, 500);
          look();
          if (corrected !== undefined) work.plan([{ name: `${at}`, bytes: corrected }]);
          look();
        }
        for (const [at, part] of seen.entries()) {
          expect(part).toBeGreaterThanOrEqual((seen[at - 1] ?? 0) - 1e-9);
          expect(part).toBeLessThanOrEqual(1 + 1e-9);
        }
        expect(work.percent ?? 0).toBeLessThanOrEqual(99);
      }),
    );
  });

  it('is the share of bytes where all sizes were right', () => {
    const sizes = fc.array(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1 }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(sizes, (operation) => {
        const { work } = meter();
        const total = operation.flat().reduce((a, b) => a + b);
        work.plan(
          operation.map((steps, at) => ({ name: `${at}`, bytes: steps.reduce((a, b) => a + b) })),
        );
        let done = 0;
        for (const [at, steps] of operation.entries()) {
          work.phase(`${at}`);
          for (const step of steps) {
            work.advance(step);
            done += step;
            expect(work.part).toBeCloseTo(done / total, 9);
          }
        }
        expect(work.percent).toBe(99);
      }),
    );
  });

  it('counts what comes later from the start', () => {
    const { work } = meter();
    work.plan([
      { name: 'export data', bytes: 100 },
      { name: 'artifacts', bytes: 300 },
    ]);
    work.phase('export data', { bytes: 100 });
    work.advance(100);
    expect(work.percent).toBe(25);
    work.phase('artifacts', { bytes: 300 });
    expect(work.percent).toBe(25);
    work.advance(150);
    expect(work.percent).toBe(62);
  });

  it('shares out the rest anew when a size was wrong', () => {
    const { work } = meter();
    work.plan([
      { name: 'export data', bytes: 500 },
      { name: 'artifacts', bytes: 500 },
    ]);
    work.phase('export data', { bytes: 500 });
    work.advance(100);
    expect(work.percent).toBe(10);
    work.phase('artifacts', { bytes: 500 });
    work.advance(250);
    expect(work.percent).toBe(55);
    work.plan([{ name: 'artifacts', bytes: 1150 }]);
    expect(work.percent).toBe(55);
    work.advance(450);
    expect(work.percent).toBe(77);
  });

  it('measures by items where no bytes are known', () => {
    const { work } = meter();
    work.phase('chunks', { items: 4 });
    expect(work.percent).toBe(0);
    work.advance(0, 1);
    expect(work.percent).toBe(25);
  });

  it('is not known while nothing is, nor while another operation is awaited', () => {
    const { work } = meter();
    expect(work.percent).toBeUndefined();
    work.phase('opening the store');
    work.advance(10, 1);
    expect(work.percent).toBeUndefined();
    work.phase('export in progress: artifacts', { bytes: 100, awaited: true });
    work.advance(100);
    expect(work.percent).toBeUndefined();
    work.phase('export data', { bytes: 100 });
    expect(work.percent).toBe(0);
  });

  it('keeps the size of a phase that begins again', () => {
    const { work } = meter();
    const plan = [
      { name: 'export data', bytes: 100 },
      { name: 'artifacts', bytes: 100 },
    ];
    work.plan(plan);
    work.phase('export data', { bytes: 100 });
    work.advance(50);
    work.plan(plan);
    work.phase('export data', { bytes: 100 });
    expect(work.percent).toBe(25);
    work.advance(100);
    work.phase('artifacts', { bytes: 100 });
    work.advance(99);
    expect(work.part).toBeCloseTo(0.995, 2);
  });
});

describe('the time left', () => {
  it('follows from the rate, once that can be believed', () => {
    const { time, work } = meter();
    work.phase('artifacts', { bytes: 100 });
    work.advance(2);
    time.now = 2000;
    work.advance(8);
    expect(work.timeLeft).toBeUndefined();
    time.now = 5000;
    work.advance(15);
    expect(work.timeLeft).toBe(15_000);
  });

  it('forgets a rate of more than half a minute ago', () => {
    const { time, work } = meter();
    work.phase('artifacts', { bytes: 1000 });
    for (let second = 1; second <= 100; second += 1) {
      time.now += 1000;
      work.advance(second <= 50 ? 10 : 1);
    }
    // 450 are left, and one is done in a second.
    expect(work.timeLeft).toBeGreaterThan(400_000);
  });

  it('is not told where nothing moves', () => {
    const { time, work } = meter();
    work.phase('artifacts', { bytes: 1000 });
    time.now += 60_000;
    work.advance(0);
    expect(work.timeLeft).toBeUndefined();
  });
});

describe('progress that is passed on', () => {
  function heard() {
    const calls: unknown[][] = [];
    return {
      calls,
      progress: {
        plan: (...args: unknown[]) => void calls.push(['plan', ...args]),
        phase: (...args: unknown[]) => void calls.push(['phase', ...args]),
        advance: (...args: unknown[]) => void calls.push(['advance', ...args]),
        note: (...args: unknown[]) => void calls.push(['note', ...args]),
      },
    };
  }

  it('of a second pass names it', () => {
    const { calls, progress } = heard();
    const again = ofPass('read again', progress);
    again.plan?.([{ name: 'artifacts', bytes: 1 }]);
    again.phase('artifacts', { bytes: 1 });
    again.advance(1, 1);
    again.note('told');
    expect(calls).toEqual([
      ['plan', [{ name: 'artifacts read again', bytes: 1 }]],
      ['phase', 'artifacts read again', { bytes: 1 }],
      ['advance', 1, 1],
      ['note', 'told'],
    ]);
    // A program may receive progress without a plan.
    ofPass('read again', noProgress).plan?.([]);
  });

  it('within a phase only counts bytes', () => {
    const { calls, progress } = heard();
    const within = withinPhase(progress);
    within.plan?.([{ name: 'artifacts', bytes: 1 }]);
    within.phase('artifacts');
    within.advance(5, 1);
    within.note('told');
    expect(calls).toEqual([
      ['advance', 5],
      ['note', 'told'],
    ]);
  });
});
