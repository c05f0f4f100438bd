import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();
const module = new URL('../../../dist/cli/exit/signals.js', import.meta.url).href;

/** How a process ends that is interrupted twice, and opens `path` meanwhile. */
async function interruptTwice(path: string): Promise<unknown[]> {
  const script = `
    const { listenForSignals } = await import('${module}');
    listenForSignals(() => console.log('first'));
    setInterval(() => undefined, 1000);
    (await import('node:fs')).open(process.argv[1], () => undefined);
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path]);
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  // The thread pool takes the call a moment later.
  await sleep(200);
  child.kill('SIGINT');
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  return ended;
}

describe('a second SIGINT', () => {
  it('ends the process with exit code 130', async () => {
    expect(await interruptTwice('/')).toEqual([130, null]);
  });

  it('ends a process, too, one of whose calls never returns', async () => {
    const pipe = join(await tempDir(), 'pipe');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    expect(await interruptTwice(pipe)).toEqual([null, 'SIGKILL']);
  });
});
