import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openProgress } from '../../../src/cli/base-command.ts';
import { linesProgress, silentProgress } from '../../../src/cli/progress/progress.ts';
import { terminalProgress } from '../../../src/cli/progress/terminal-progress.ts';

function lines() {
  const out: string[] = [];
  const time = { now: 1000 };
  const stream = { write: (text: string) => out.push(text) };
  return { out, time, progress: linesProgress(stream, { clock: () => time.now }) };
}

describe('progress in lines', () => {
  it('shows the progress of a phase every five seconds, and a summary at its end', () => {
    const { out, time, progress } = lines();
    progress.phase('export data', { bytes: 1000_000, items: 10, unit: 'entries' });
    time.now += 4999;
    progress.advance(100_000, 1);
    expect(out).toEqual([]);
    time.now += 1;
    progress.advance(150_000, 1);
    expect(out).toEqual([
      'export data: 25%, 250 kB of 1.0 MB, 2 of 10 entries, 50.0 kB/s, 15s left\n',
    ]);
    time.now += 5000;
    progress.advance(750_000, 8);
    expect(out[1]).toBe('export data: 100%, 1.0 MB of 1.0 MB, 10 of 10 entries, 100 kB/s\n');
    progress.phase('artifacts');
    expect(out[2]).toBe('export data: 1.0 MB, 10 entries in 10s, 100 kB/s\n');
    progress.finish('done');
    expect(out[3]).toBe('artifacts: in 0.0s\n');
  });

  it('omits percent and time left if the total is unknown', () => {
    const { out, time, progress } = lines();
    progress.phase('artifacts');
    time.now += 5000;
    progress.advance(10_000_000, 4);
    expect(out).toEqual(['artifacts: 10.0 MB, 4 items, 2.0 MB/s\n']);
  });

  it('measures by items if the bytes are unknown', () => {
    const { out, time, progress } = lines();
    progress.phase('chunks', { items: 4, unit: 'chunks' });
    time.now += 5000;
    progress.advance(0, 1);
    expect(out).toEqual(['chunks: 25%, 1 of 4 chunks, 15s left\n']);
  });

  it('drops an estimate that turns out too low', () => {
    const { out, time, progress } = lines();
    progress.phase('export data', { bytes: 100 });
    time.now += 5000;
    progress.advance(200);
    expect(out).toEqual(['export data: 200 B, 40 B/s\n']);
  });

  it('prints no summary of a failed phase', () => {
    const { out, progress } = lines();
    progress.phase('export data');
    progress.finish('failed');
    expect(out).toEqual([]);
  });

  it('prints notes at once, one line each, and keeps them', () => {
    const { out, progress } = lines();
    progress.note('copied\nto \u001b[31mscratch');
    expect(out).toEqual(['copied to \\u001b[31mscratch\n']);
    expect(progress.notes).toEqual(['copied\nto \u001b[31mscratch']);
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
    cursorTo: none,
    moveCursor: none,
  }) as unknown as NodeJS.WriteStream;
}

describe('progress on a terminal', () => {
  it('leaves one line for each phase, and the notes between them', () => {
    const stream = terminal(80);
    const time = { now: 0 };
    const progress = terminalProgress(stream, () => time.now);
    progress.phase('export data', { bytes: 2_000_000 });
    time.now += 2000;
    progress.advance(2_000_000);
    progress.note('the store was copied');
    progress.phase('artifacts');
    progress.finish('done');
    const text = stripVTControlCharacters(String(stream.read()));
    expect(text).toContain('the store was copied\n');
    expect(text).toContain('export data: 2.0 MB in 2.0s, 1.0 MB/s\n');
    expect(text).toContain('artifacts: in 0.0s\n');
    expect(progress.notes).toEqual(['the store was copied']);
  });
});

describe('the choice of a renderer', () => {
  const loud = { json: false, quiet: false };

  it.each([
    ['a pipe', Object.assign(terminal(80), { isTTY: false })],
    ['a terminal without a width', terminal(0)],
  ])('gives plain lines to %s', async (_name, stream) => {
    const progress = await openProgress(loud, stream);
    progress.phase('export data');
    progress.finish('done');
    expect(String(stream.read())).toMatch(/^export data: in \S+\n$/);
  });

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
