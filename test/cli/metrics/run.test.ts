/** What `--metrics-file` says of a run, however the run ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { TimeoutError } from '../../../src/errors.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { acts, runFake, thrown } from '../fake-command.ts';

const FAKE_PROCESS = fileURLToPath(new URL('../fake-process.ts', import.meta.url));
const tempDir = useTempDir();

afterEach(() => {
  thrown.clear();
  acts.clear();
});

async function valueOf(path: string, metric: string): Promise<number> {
  const text = await readFile(path, 'utf8');
  const found = new RegExp(`^swingsnap_${metric}\\{command="fake",.*\\} (.*)$`, 'mu').exec(text);
  return Number(found?.[1]);
}

describe('a run with --metrics-file', () => {
  it('that succeeds and one that fails are written, with what each came to know', async () => {
    const path = join(await tempDir(), 'night.prom');
    await runFake('good', '--height', '7', '--metrics-file', path);
    const success = await valueOf(path, 'last_success_timestamp_seconds');
    expect(Math.abs(success - Date.now() / 1000)).toBeLessThan(30);
    expect(await valueOf(path, 'last_run_exit_code')).toBe(0);
    expect(await valueOf(path, 'height')).toBe(7);

    thrown.set('late', new TimeoutError('TOO_OLD', 'no'));
    const { exitCode } = await runFake('late', '--height', '8', '--metrics-file', path);
    expect(exitCode).toBe(7);
    expect(await valueOf(path, 'last_run_exit_code')).toBe(7);
    expect(await valueOf(path, 'height')).toBe(8);
    expect(await valueOf(path, 'last_success_timestamp_seconds')).toBe(success);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('that ends by %s is written', async (signal, code) => {
    const path = join(await tempDir(), 'night.prom');
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', FAKE_PROCESS, 'wait', '--metrics-file', path],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    await once(child.stdout, 'data');
    child.kill(signal);
    expect(await once(child, 'close')).toEqual([code, null]);
    expect(await valueOf(path, 'last_run_exit_code')).toBe(code);
    expect(await valueOf(path, 'last_success_timestamp_seconds')).toBe(0);
  });

  it('does not begin where the file cannot be written', async () => {
    const dir = await tempDir();
    let hasBegun = false;
    acts.set('here', async () => void (hasBegun = true));
    const { exitCode, stderr } = await runFake('here', '--metrics-file', join(dir, 'no/a.prom'));
    expect(exitCode).toBe(5);
    expect(stderr).toContain('the directory of the metrics file does not exist');
    expect(hasBegun).toBe(false);
    expect(await readdir(dir)).toEqual([]);
  });

  it('keeps its result and its exit code where the file cannot be written any more', async () => {
    const dir = join(await tempDir());
    const path = join(dir, 'night.prom');
    acts.set('gone', async () => writeFile(path, 'node_load1 0.5\n'));
    const told = `the metrics file is not written: something else is in the place of the metrics file: ${path}`;
    const text = await runFake('gone', '--metrics-file', path);
    expect(text).toMatchObject({ exitCode: 0, stdout: 'read gone\n  height null\n' });
    expect(text.stderr).toContain(`${told}\n`);
    await rm(path);
    const quiet = await runFake('gone', '--metrics-file', path, '--quiet');
    expect(quiet).toEqual({ exitCode: 0, stdout: '', stderr: `swingsnap: ${told}\n` });
    await rm(path);
    const json = await runFake('gone', '--metrics-file', path, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ notes: ['the store was copied', told] });
    expect(json).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await readFile(path, 'utf8')).toBe('node_load1 0.5\n');
  });

  it('that is used wrongly leaves the file as it was', async () => {
    const path = join(await tempDir(), 'night.prom');
    await runFake('good', '--metrics-file', path);
    const before = await readFile(path, 'utf8');
    expect(await runFake('good', '--nope', '--metrics-file', path)).toMatchObject({ exitCode: 2 });
    expect(await readFile(path, 'utf8')).toBe(before);
  });
});
