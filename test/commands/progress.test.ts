/** Progress as a person sees it: on a terminal of some width, in a log, in the mail of cron. */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shellQuote } from '../../src/io/shell-quote.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { makeContent, writeExportDir } from '../snapshot/made-export.ts';

const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const fileDir = useTempDir('file');
const tempDir = useTempDir();
afterAll(closeReference);

/** Whether script(1) is that of util-linux, which runs a command on a terminal of its own. */
const hasTerminal =
  spawnSync('script', ['-qec', 'true', '/dev/null'], { stdio: 'ignore' }).status === 0;

/** An export of 30 MB, which takes some seconds to restore. */
let exportDir: string;
/** A store of which no further height will come. */
let stateDir: string;

beforeAll(async () => {
  const vats = Array.from({ length: 10 }, (_, n) => ({
    vatID: `v${n + 10}`,
    heap: randomBytes(3_000_000),
    spans: [['item']],
  }));
  exportDir = await writeExportDir(await fileDir(), makeContent({ vats }));
  stateDir = join(await fileDir(), 'agoric');
  await buildStore(stateDir, tinySpec);
});

/** All that `swingsnap <args>` writes to a terminal, stdout and stderr alike. */
async function onTerminal(
  columns: number,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const words = [process.execPath, runPath, ...args].map(shellQuote).join(' ');
  const command = `stty cols ${columns} rows 24; ${words}`;
  const { PATH = '', SWINGSNAP_STATE_DIR = '' } = process.env;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { PATH, SWINGSNAP_STATE_DIR, HOME: '/nonexistent', TERM: 'xterm-256color', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
  const [exitCode] = (await once(child, 'close')) as [number];
  expect(exitCode).toBe(0);
  return text;
}

/** A machine with much to do may take longer until the first phase begins. */
const FIRST = /^(?:starting|0%, export data)$/u;

/** Moves the cursor to the first column. */
const TO_START = '\u001b[1G';

/** The lines before the result, those too that were drawn over. */
function linesOf(text: string): string[] {
  const [progress = ''] = text.replaceAll(TO_START, '\r').split('restored height');
  return stripVTControlCharacters(progress)
    .split(/[\r\n]+/u)
    .filter((line) => line !== '');
}

function percentsOf(lines: readonly string[]): number[] {
  return lines.flatMap((line) => {
    const [, percent] = /^(?:. )?(\d+)%/u.exec(line) ?? [];
    return percent === undefined ? [] : [Number(percent)];
  });
}

async function restoring(): Promise<string[]> {
  return ['restore', exportDir, '--state-dir', join(await tempDir(), 'S')];
}

describe.runIf(hasTerminal)('on a terminal', () => {
  it.each([80, 40])('of %i columns, percents rise and no line is wider', async (columns) => {
    const text = await onTerminal(columns, await restoring());
    const lines = linesOf(text);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(columns);
    const percents = percentsOf(lines);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
    expect(new Set(percents).size).toBeGreaterThan(4);
    expect(percents.at(-1)).toBeLessThan(100);
    expect(text).toContain('\u001b[36m');
  });

  it('has no colours with NO_COLOR, and still a spinner', async () => {
    const text = await onTerminal(80, await restoring(), { NO_COLOR: 'yes' });
    expect(text).toMatch(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] \d+%/u);
    expect(text).not.toMatch(/\u001b\[[\d;]*m/u);
  });

  it.each([{ TERM: 'dumb' }, { CI: 'true' }])('has plain lines with %o', async (env) => {
    const text = await onTerminal(40, await restoring(), env);
    expect(text).not.toContain('\u001b');
    const lines = linesOf(text);
    expect(lines[0]).toMatch(FIRST);
    expect(lines.at(-1)).toMatch(/^artifacts: 30\.0 MB, 20 artifacts in /u);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(40);
  });

  it.each(['--quiet', '--json'])('shows no progress with %s', async (flag) => {
    const text = await onTerminal(80, [...(await restoring()), flag]);
    if (flag === '--quiet') expect(text).toBe('');
    else expect(JSON.parse(text)).toMatchObject({ height: 7 });
  });
});

describe('in a log', () => {
  it('is a line at the start, and one at the end of each phase', async () => {
    const { stderr, exitCode } = await runCli(await restoring());
    expect(exitCode).toBe(0);
    expect(stderr.split('\n').filter((line) => !/^\d+%, .* left, /u.test(line))).toEqual([
      expect.stringMatching(FIRST),
      expect.stringMatching(/^export data: .* in /u),
      expect.stringMatching(/^artifacts: 30\.0 MB, 20 artifacts in /u),
      '',
    ]);
  });

  it.each(['--quiet', '--json'])('is nothing with %s', async (flag) => {
    const { stderr, exitCode } = await runCli([...(await restoring()), flag]);
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
  });

  it('begins while a command waits', async () => {
    const args = ['export', '--state-dir', stateDir, '--at-height', '999999999'];
    const child = spawn(
      process.execPath,
      [runPath, ...args, '--export-dir', join(await tempDir(), 'E')],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const closed = once(child, 'close');
    let stderr = '';
    child.stderr.setEncoding('utf8');
    for await (const text of child.stderr as AsyncIterable<string>) {
      stderr += text;
      if (stderr.includes('\n')) break;
    }
    child.kill('SIGTERM');
    expect(await closed).toEqual([143, null]);
    expect(stderr).toMatch(/^(starting|opening the store|waiting for height 999999999)/u);
  });
});
