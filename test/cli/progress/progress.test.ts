import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { openProgress } from '../../../src/cli/base-command.ts';
import { linesProgress, silentProgress } from '../../../src/cli/progress/progress.ts';
import { terminalProgress } from '../../../src/cli/progress/terminal-progress.ts';

function lines(columns?: number) {
  const out: string[] = [];
  const time = { now: 1000 };
  const stream = { write: (text: string) => out.push(text), columns };
  return { out, time, progress: linesProgress(stream, { clock: () => time.now }) };
}

describe('progress in lines', () => {
  it('begins with a line, shows the whole after five seconds, and sums up each phase', () => {
    const { out, time, progress } = lines();
    progress.plan?.([
      { name: 'export data', bytes: 1000_000 },
      { name: 'artifacts', bytes: 1000_000 },
    ]);
    progress.phase('export data', { bytes: 1000_000, items: 10, unit: 'entries' });
    expect(out.splice(0)).toEqual(['0%, export data\n']);
    time.now += 4999;
    progress.advance(100_000, 1);
    expect(out).toEqual([]);
    time.now += 1;
    progress.advance(150_000, 1);
    expect(out.splice(0)).toEqual([
      '12%, 35s left, export data: 250 kB of 1.0 MB, 2 of 10 entries, 50.0 kB/s\n',
    ]);
    time.now += 5000;
    progress.advance(750_000, 8);
    expect(out.splice(0)).toEqual([
      '50%, 10s left, export data: 1.0 MB of 1.0 MB, 10 of 10 entries, 100 kB/s\n',
    ]);
    progress.phase('artifacts');
    expect(out.splice(0)).toEqual(['export data: 1.0 MB, 10 entries in 10s, 100 kB/s\n']);
    time.now += 2000;
    progress.advance(1000_000, 3);
    progress.finish('done');
    expect(out).toEqual(['artifacts: 1.0 MB, 3 items in 2.0s, 500 kB/s\n']);
  });

  it('omits percent and time left if the total is unknown', () => {
    const { out, time, progress } = lines();
    progress.phase('artifacts');
    time.now += 5000;
    progress.advance(10_000_000, 4);
    progress.finish('failed');
    expect(out).toEqual(['artifacts\n', 'artifacts: 10.0 MB, 4 items, 2.0 MB/s\n']);
  });

  it('measures by items if the bytes are unknown', () => {
    const { out, time, progress } = lines();
    progress.phase('chunks', { items: 4, unit: 'chunks' });
    time.now += 5000;
    progress.advance(0, 1);
    progress.finish('failed');
    expect(out[1]).toBe('25%, 15s left, chunks: 1 of 4 chunks\n');
  });

  it('drops an estimate that turns out too low, and says no more than 99%', () => {
    const { out, time, progress } = lines();
    progress.phase('export data', { bytes: 100 });
    time.now += 5000;
    progress.advance(200);
    progress.finish('failed');
    expect(out[1]).toBe('99%, 0.0s left, export data: 200 B, 40 B/s\n');
  });

  it('prints no summary of a failed phase, of one that did nothing, and of one that waited', () => {
    const { out, time, progress } = lines();
    progress.phase('opening the store');
    progress.phase('waiting for height 20', { awaited: true });
    time.now += 2000;
    progress.phase('export data');
    progress.advance(10);
    progress.finish('failed');
    expect(out).toEqual(['opening the store\n']);
  });

  it('prints notes at once, one line each, and keeps them', () => {
    const { out, progress } = lines();
    progress.note('copied\nto \u001b[31mscratch');
    expect(out).toEqual(['copied to \\u001b[31mscratch\n']);
    expect(progress.notes).toEqual(['copied\nto \u001b[31mscratch']);
    progress.finish('done');
  });

  it('has some thirty lines for an hour', () => {
    const { out, time, progress } = lines();
    progress.phase('artifacts', { bytes: 36_000 });
    for (let tenth = 0; tenth < 36_000; tenth += 1) {
      time.now += 100;
      progress.advance(1);
    }
    progress.finish('done');
    expect(out.length).toBeGreaterThan(20);
    expect(out.length).toBeLessThan(40);
  });

  it('cuts its lines to the width of a terminal', () => {
    const { out, time, progress } = lines(30);
    progress.phase('export data of the store', { bytes: 1000_000, items: 10 });
    time.now += 5000;
    progress.advance(250_000, 1);
    progress.phase('artifacts');
    progress.finish('failed');
    expect(out).toEqual([
      '0%, export data of the store\n',
      '25%, 15s left, export data of…\n',
      'export data of the store: in …\n',
    ]);
  });

  it('says within a second that a command is starting, and goes on telling of one that waits', () => {
    vi.useFakeTimers();
    try {
      const { out, time, progress } = lines();
      vi.advanceTimersByTime(900);
      expect(out.splice(0)).toEqual(['starting\n']);
      progress.phase('waiting for height 20, now at 12', { awaited: true });
      expect(out).toEqual([]);
      time.now += 5000;
      vi.advanceTimersByTime(5000);
      expect(out.splice(0)).toEqual(['waiting for height 20, now at 12\n']);
      progress.finish('done');
      time.now += 60_000;
      vi.advanceTimersByTime(60_000);
      expect(out).toEqual([]);
    } finally {
      vi.useRealTimers();
    }
  });
});

/** A stream that claims to be a terminal, `columns` wide. */
function terminal(columns: number) {
  const stream = new PassThrough({ encoding: 'utf8' });
  const none = () => true;
  return Object.assign(stream, {
    isTTY: true,
    columns,
    clearLine: none,
    cursorTo: () => stream.write('\r'),
    moveCursor: none,
  }) as unknown as NodeJS.WriteStream;
}

/** The lines that the terminal was given, without colours, those too that were drawn over. */
function shown(stream: NodeJS.WriteStream): string[] {
  return stripVTControlCharacters(String(stream.read() ?? ''))
    .split(/[\r\n]/u)
    .filter((text) => text !== '');
}

describe('progress on a terminal', () => {
  it('leaves one line for each phase, and the notes between them', () => {
    const stream = terminal(80);
    const time = { now: 0 };
    const progress = terminalProgress(stream, { clock: () => time.now });
    progress.phase('export data', { bytes: 2_000_000 });
    time.now += 2000;
    progress.advance(2_000_000);
    progress.note('the store was copied');
    progress.phase('artifacts');
    progress.advance(10);
    progress.finish('done');
    const text = stripVTControlCharacters(String(stream.read()));
    expect(text).toContain('the store was copied\n');
    expect(text).toContain('export data: 2.0 MB in 2.0s, 1.0 MB/s\n');
    expect(text).toContain('artifacts: 10 B in 0.0s\n');
    expect(progress.notes).toEqual(['the store was copied']);
  });

  it.each([80, 40, 20, 5])('draws no line wider than its %i columns', (columns) => {
    const stream = terminal(columns);
    const time = { now: 0 };
    const progress = terminalProgress(stream, { clock: () => time.now });
    progress.phase('artifacts of the store', { bytes: 3e12, items: 123_456, unit: 'artifacts' });
    for (let step = 0; step < 10; step += 1) {
      time.now += 10_000;
      progress.advance(1e11, 12_345);
      progress.note('n');
    }
    progress.finish('done');
    const frames = shown(stream);
    expect(frames.some((frame) => frame.includes('3%'))).toBe(columns > 5);
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThan(columns);
  });

  it('fits its line to a terminal that becomes narrower, and clears the rows it was wrapped to', () => {
    const stream = terminal(100);
    const time = { now: 0 };
    const progress = terminalProgress(stream, { clock: () => time.now });
    progress.phase('artifacts', { bytes: 3e12, items: 123_456, unit: 'artifacts' });
    time.now += 10_000;
    progress.advance(1e11, 12_345);
    progress.note('draws the line');
    const drawn = shown(stream).at(-1) ?? '';
    expect(drawn.length).toBeGreaterThan(60);
    stream.columns = 30;
    const moveCursor = vi.spyOn(stream, 'moveCursor');
    stream.emit('resize');
    expect(moveCursor).toHaveBeenCalledTimes(Math.ceil(drawn.length / 30) - 1);
    expect(shown(stream).at(-1)?.length).toBeLessThan(30);
    progress.finish('done');
    expect(stream.listenerCount('resize')).toBe(0);
  });

  it('says within a second that a command is starting', () => {
    vi.useFakeTimers();
    try {
      const stream = terminal(80);
      const progress = terminalProgress(stream);
      vi.advanceTimersByTime(900);
      expect(shown(stream)).toContain('⠋ starting');
      progress.finish('done');
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('the choice of a renderer', () => {
  const loud = { json: false, quiet: false };

  async function printed(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Promise<string> {
    const progress = await openProgress(loud, stream, env);
    progress.phase('export data');
    progress.advance(5);
    progress.finish('done');
    return String(stream.read());
  }

  it.each<[string, NodeJS.WriteStream, NodeJS.ProcessEnv]>([
    ['a pipe', Object.assign(terminal(80), { isTTY: false }), {}],
    ['a terminal without a width', terminal(0), {}],
    ['a terminal that cannot move its cursor', terminal(80), { TERM: 'dumb' }],
    ['a log of CI', terminal(80), { TERM: 'xterm', CI: 'true' }],
  ])('gives plain lines to %s', async (_name, stream, env) => {
    expect(await printed(stream, env)).toMatch(/^export data\nexport data: 5 B in \S+\n$/);
  });

  it.each([{}, { CI: '' }, { CI: 'false' }, { NO_COLOR: '1' }])(
    'gives a spinner to a terminal, with %o',
    async (env) => {
      expect(await printed(terminal(80), { TERM: 'xterm', ...env })).toContain('⠋ export data');
    },
  );

  it.each([
    { json: true, quiet: false },
    { json: false, quiet: true },
  ])('prints nothing under %o', async (flags) => {
    const stream = terminal(80);
    const progress = await openProgress(flags, stream);
    progress.phase('export data');
    progress.note('kept');
    progress.finish('done');
    expect(stream.read()).toBeNull();
    expect(progress.notes).toEqual(['kept']);
  });

  it('keeps the notes when silent', () => {
    const progress = silentProgress();
    progress.note('kept');
    expect(progress.notes).toEqual(['kept']);
  });
});
