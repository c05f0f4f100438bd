import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  BusyError,
  NotFoundError,
  StorageError,
  SwingSnapError,
  TimeoutError,
  UsageError,
  VerificationError,
} from '../../src/errors.ts';
import { programFacts } from '../../src/io/program.ts';
import { runFake, thrown } from './fake-command.ts';

const FAKE_PROCESS = fileURLToPath(new URL('fake-process.ts', import.meta.url));

/** Runs the fake command as a process, with `rest` after it on a bash command line. */
async function runFakeProcess(rest: string): Promise<{ stderr: string; exitCode: unknown }> {
  const child = spawn('bash', [
    '-c',
    `"$0" --import tsx "$1" ${rest}`,
    process.execPath,
    FAKE_PROCESS,
  ]);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [exitCode] = (await once(child, 'close')) as [unknown];
  return { stderr, exitCode };
}

/** A printed object without what every object says of its run, which must be right. */
function ofRun(stdout: string): object {
  const { at, version, seconds, ...rest } = JSON.parse(stdout) as Record<string, unknown>;
  expect(Math.abs(Date.now() - Date.parse(String(at)))).toBeLessThan(30_000);
  expect(at).toBe(new Date(String(at)).toISOString());
  expect(version).toBe(programFacts().version);
  expect(seconds).toBeGreaterThan(0);
  return rest;
}

afterEach(() => {
  thrown.clear();
  vi.unstubAllEnvs();
});

describe('a command that succeeds', () => {
  it('prints its result on stdout, and notes and progress on stderr', async () => {
    const { stdout, stderr, exitCode } = await runFake('here', '--height', '7');
    expect(stdout).toBe('read here\n  height 7\n');
    expect(stderr).toMatch(/^export data\nthe store was copied\nexport data: 5 B in \S+\n$/);
    expect(exitCode).toBe(0);
  });

  it('prints only one JSON object, with the notes in it, under --json', async () => {
    const { stdout, stderr, exitCode } = await runFake('here', '--json');
    expect(ofRun(stdout)).toEqual({
      source: 'here',
      height: null,
      notes: ['the store was copied'],
    });
    expect(stdout.split('\n')).toHaveLength(2);
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
  });

  it.each(['-q', '--quiet'])('prints nothing under %s', async (flag) => {
    expect(await runFake('here', flag)).toEqual({ stdout: '', stderr: '', exitCode: 0 });
  });

  it('still prints its JSON object under --json --quiet', async () => {
    expect(JSON.parse((await runFake('here', '--json', '--quiet')).stdout)).toMatchObject({
      source: 'here',
    });
  });
});

describe('a command that fails', () => {
  it.each([
    [1, new SwingSnapError('X', 'no')],
    [1, new Error('no')],
    [2, new UsageError('X', 'no')],
    [3, new VerificationError('X', 'no')],
    [4, new BusyError('X', 'no')],
    [5, new NotFoundError('X', 'no')],
    [6, new StorageError('X', 'no')],
    [6, Object.assign(new Error('no'), { code: 'ENOSPC' })],
    [7, new TimeoutError('X', 'no')],
  ])('exits with %i in text and under --json: %o', async (code, error) => {
    thrown.set('bad', error);
    const text = await runFake('bad');
    const json = await runFake('bad', '--json');
    expect([text.exitCode, json.exitCode]).toEqual([code, code]);
    expect(text.stdout).toBe('');
    expect(text.stderr).toContain('swingsnap: no\n');
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { message: 'no', exitCode: code } });
    expect(json.stderr).toBe('');
  });

  it('prints only the error under --quiet', async () => {
    thrown.set('bad', new NotFoundError('X', 'not there', { path: '/a', hint: 'look elsewhere' }));
    expect(await runFake('bad', '--quiet')).toEqual({
      stdout: '',
      stderr: 'swingsnap: not there\n  path:     /a\nhint: look elsewhere\n',
      exitCode: 5,
    });
  });

  it('shows a stack only if DEBUG is set', async () => {
    thrown.set('bad', new Error('no'));
    expect((await runFake('bad', '-q')).stderr).not.toContain('    at ');
    vi.stubEnv('DEBUG', 'swingsnap');
    expect((await runFake('bad', '-q')).stderr).toContain('    at ');
  });
});

describe('--progress', () => {
  const events = (stderr: string): object[] =>
    stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);

  it.each([
    ['--progress', 'json'],
    ['--progress=json', '--height=7'],
  ])('json has only objects on stderr, beside the result: %s %s', async (...words) => {
    const text = await runFake('here', ...words);
    expect(text.stdout).toMatch(/^read here\n {2}height/u);
    expect(events(text.stderr)).toMatchObject([
      { event: 'progress', phase: 'export data', bytes: 0 },
      { event: 'note', message: 'the store was copied' },
      { event: 'phase', phase: 'export data', bytes: 5 },
      { event: 'progress', percent: 100 },
    ]);
    const json = await runFake('here', '--json', ...words);
    expect(JSON.parse(json.stdout)).toMatchObject({ notes: ['the store was copied'] });
    expect(events(json.stderr)).toHaveLength(4);
  });

  it('json has the error too, whatever goes wrong', async () => {
    const error = { code: 'X', message: 'no', exitCode: 5, path: '/a' };
    thrown.set('bad', new NotFoundError('X', 'no', { path: '/a' }));
    const text = await runFake('bad', '--progress', 'json');
    expect(text).toMatchObject({ exitCode: 5, stdout: '' });
    expect(events(text.stderr).at(-1)).toMatchObject({ event: 'error', error });
    const json = await runFake('bad', '--progress', 'json', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ error });
    expect(events(json.stderr).at(-1)).toMatchObject({ event: 'error', error });
    const usage = await runFake('x', '--nope', '--progress', 'json');
    expect(events(usage.stderr)).toMatchObject([{ event: 'error', error: { code: 'USAGE' } }]);
    vi.stubEnv('DEBUG', 'swingsnap');
    const debug = await runFake('bad', '--progress', 'json');
    expect(events(debug.stderr).at(-1)).toHaveProperty('stack');
  });

  it('json tells of a signal', async () => {
    const words = ['--import', 'tsx', FAKE_PROCESS, 'wait', '--progress', 'json'];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([143, null]);
    expect(events(stderr).slice(-2)).toMatchObject([
      { event: 'signal', signal: 'SIGTERM' },
      { event: 'error', error: { code: 'INTERRUPTED', exitCode: 143 } },
    ]);
  });

  it('none leaves the notes and the result', async () => {
    const { stdout, stderr } = await runFake('here', '--progress', 'none');
    expect(stdout).toMatch(/^read here\n/u);
    expect(stderr).toBe('the store was copied\n');
    expect((await runFake('here', '--progress', 'none', '--json')).stderr).toBe('');
  });

  it('auto is as without it, and --quiet does not go with any', async () => {
    expect((await runFake('here', '--progress', 'auto')).stderr).toMatch(
      /^export data\nthe store was copied\nexport data: 5 B in \S+\n$/u,
    );
    expect(await runFake('here', '--progress', 'json', '--quiet')).toMatchObject({ exitCode: 2 });
  });
});

describe('a command that is used wrongly', () => {
  it.each([
    ['SOURCE is missing', []],
    ['Nonexistent flag: --nope', ['x', '--nope']],
    ['Unexpected argument: y', ['x', 'y']],
    ['--height: expected a whole number of at least 0, found -3', ['x', '--height', '-3']],
    ['--height: expected a whole number of at least 0, found 1.5', ['x', '--height', '1.5']],
    ['--height: expected a whole number of at least 0, found 1e3', ['x', '--height', '1e3']],
    [
      '--height: expected a whole number of at least 0, found 9007199254740993',
      ['x', '--height', '9007199254740993'],
    ],
    [
      'Expected --artifact-mode=some to be one of: none, operational, replay, archival, debug',
      ['x', '--artifact-mode', 'some'],
    ],
    [
      '--state-dir=a cannot also be provided when using --home',
      ['x', '--state-dir', 'a', '--home', 'b'],
    ],
  ])('exits with 2 and one line: %s', async (message, argv) => {
    const text = await runFake(...argv);
    expect(text).toEqual({
      stdout: '',
      stderr: `swingsnap: ${message}\nhint: swingsnap fake --help\n`,
      exitCode: 2,
    });
    const json = await runFake(...argv, '--json');
    expect(ofRun(json.stdout)).toEqual({
      error: { code: 'USAGE', message, exitCode: 2, hint: 'swingsnap fake --help' },
    });
    expect(json.exitCode).toBe(2);
  });

  it('accepts --state-dir although AGORIC_HOME is set', async () => {
    vi.stubEnv('AGORIC_HOME', '/home/node');
    expect((await runFake('x', '--state-dir', 'a')).exitCode).toBe(0);
  });
});

describe('a full stdout', () => {
  it('is a storage error, reported on stderr', async () => {
    const { stderr, exitCode } = await runFakeProcess('here > /dev/full');
    expect(stderr).toContain('swingsnap: ENOSPC: no space left on device, write\n');
    expect(exitCode).toBe(6);
  });
});

describe('a closed reader', () => {
  it('does not turn a success into a failure', async () => {
    const { stderr, exitCode } = await runFakeProcess(
      'here -q --json | true; exit "${PIPESTATUS[0]}"',
    );
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
  });
});

describe('a signal', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s aborts the work and exits with %i', async (signal, code) => {
    const child = spawn(process.execPath, ['--import', 'tsx', FAKE_PROCESS, 'wait'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    await once(child.stdout, 'data');
    child.kill(signal);
    expect(await once(child, 'close')).toEqual([code, null]);
    expect(stderr).toContain(`swingsnap: stopped by ${signal}\n`);
  });
});
