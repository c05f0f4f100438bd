/** Calls that never return, as on a disk that does not answer: a pipe that nothing writes to stands for it. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { discard } from '../../src/operation/discard.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { start, until, untilGone, type Command } from '../operation/processes.ts';
import { faultyEnv, processesLeft, processesOf, type Fault, type Place } from './faults.ts';
import { makeTemplate, scenes, setScene, type Template } from './scenes.ts';

const tempDir = useTempDir('file');
let template: Template;
let dir: string;

beforeAll(async () => {
  dir = await tempDir();
  template = await makeTemplate(join(dir, 'template'));
});
afterAll(closeReference);

const scene = scenes.find(({ name }) => name === 'export')!;

/** What waits for ever. */
type Waiting = 'main thread' | 'thread pool';

/** Starts an export whose worker waits for ever for a pipe: from its first write on, or in one call at its first step. */
async function stick(waiting: Waiting, { once = false } = {}) {
  const place = await setScene(join(dir, `${count++}`), scene, template);
  const pipe = join(place.root, 'pipe');
  expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
  const call = waiting === 'main thread' ? 'readFileSync' : 'createReadStream';
  const fault: Fault = {
    ...{ type: 'run', role: 'worker', when: 'before' },
    ...(once ? { at: 1 } : { from: 1, calls: ['write'] }),
    steps: [[call, pipe]],
  };
  const env = faultyEnv(place, fault);
  const command = start(scene.args, [], place.root, env);
  await until(() => (hasWritten(place) ? true : undefined));
  const [worker = 0] = processesOf(place).filter((pid) => pid !== command.child.pid);
  return { place, command, worker, E: join(place.root, 'export') };
}
let count = 0;

function hasWritten({ log }: Place): boolean {
  if (!existsSync(log)) return false;
  return readFileSync(log, 'utf8').includes('"role":"worker","call":"write"');
}

async function interruptTwice({ child }: Command): Promise<void> {
  child.kill('SIGINT');
  const again = setInterval(() => child.kill('SIGINT'), 200);
  await until(() => child.exitCode ?? undefined);
  clearInterval(again);
}

const waitings: readonly Waiting[] = ['main thread', 'thread pool'];

describe.concurrent.each(waitings)('an export whose worker waits for ever in its %s', (waiting) => {
  it('ends when its command is stopped, which says what it left', async () => {
    const { place, command, worker, E } = await stick(waiting);
    command.child.kill('SIGTERM');
    const told = await command.told;
    expect(told).toMatchObject({ exitCode: 143, error: { code: 'INTERRUPTED' } });
    if (waiting === 'main thread') {
      expect(told.notes?.join()).toContain(`killed process ${worker} of the export`);
    }
    expect(await processesLeft(place, 0)).toEqual([]);
    expect(await discard(E)).toMatchObject({ gone: true });
  });

  it('ends when its command is left with a second SIGINT', async () => {
    const { place, command } = await stick(waiting);
    await interruptTwice(command);
    expect(command.child.exitCode).toBe(130);
    expect(await processesLeft(place, 30_000)).toEqual([]);
  });

  it('is ended by discard', async () => {
    const { worker, command, E } = await stick(waiting);
    expect(await discard(E, { grace: 200 })).toMatchObject({ ended: true, gone: true });
    await untilGone(worker);
    expect((await command.told).exitCode).toBe(1);
  });
});

it('an export leaves no process when its worker is done, and a call of it never returns', async () => {
  const { place, command, worker } = await stick('thread pool', { once: true });
  expect((await command.told).exitCode).toBe(0);
  await untilGone(worker);
  expect(await scene.holds(place, template)).toBe('new');
});
