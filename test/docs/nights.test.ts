/** Runs what the documents let cron and CI run, night after night, also after a night that failed. */
import { once } from 'node:events';
import { readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { commit, makeMachine, run as runOn, start, type Machine, type Ran } from './machine.ts';
import { fencesOf, readDocument } from './markdown.ts';

const tempDir = useTempDir();
afterAll(closeReference);

const machine = async (): Promise<Machine> => makeMachine(await tempDir());
const run = async (on: Machine, command: string, path = CRON_PATH): Promise<Ran> =>
  runOn(on, command, path);

/** Starts a command, and kills it when it has begun to write its snapshot. */
async function killed(on: Machine, command: string): Promise<void> {
  const child = start(on, command, CRON_PATH);
  const closed = once(child, 'close');
  const isOver = closed.then(() => true);
  const before = await readdir(join(on.dir, 'backup/snapshots'));
  for (;;) {
    const now = await readdir(join(on.dir, 'backup/snapshots'));
    if (now.length > before.length) break;
    if (await Promise.race([isOver, sleep(1, false)])) break;
  }
  if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  await closed;
}

const fences = (file: string): readonly string[] => fencesOf(readDocument(file));
const readme = fences('README.md');
const operations = fences('docs/operations.md');

const crontabs = [...readme, ...operations].filter((text) => /^\d+ \d+ \* \* \* /mu.test(text));
/** The `PATH` that every crontab of the documents sets. */
const CRON_PATH = /^PATH=(.*)$/mu.exec(crontabs[0] ?? '')?.[1] ?? '';
const cronLines = crontabs.flatMap((text) =>
  [...text.matchAll(/^\d+ \d+ \* \* \* +(.*)$/gmu)].map(([, command = '']) => command),
);
const checks = [...readme, ...operations].filter((text) => text.includes('restore-check'));
const first = readme
  .flatMap((text) => text.split('\n'))
  .find((line) => line.startsWith('swingsnap retrieve'));

describe('the recipes for nights', () => {
  it('are where this test looks for them, and every crontab sets the PATH', () => {
    expect(cronLines).toHaveLength(3);
    expect(checks).toHaveLength(2);
    expect(first).toBeDefined();
    for (const text of crontabs) expect(text).toContain(`PATH=${CRON_PATH}\n`);
  });

  it.each(cronLines)('runs night after night: %s', async (command) => {
    const on = await machine();
    const heights = async (): Promise<string[]> =>
      (await readdir(join(on.dir, 'backup/snapshots'))).filter((name) => !name.startsWith('.'));
    const isQuiet = command.includes('--quiet') || command.includes('--json');
    expect(await run(on, first ?? '')).toMatchObject({ exitCode: 0 });
    const [made = ''] = await heights();

    commit(on);
    const good = await run(on, command);
    expect(good).toMatchObject({ exitCode: 0, ...(isQuiet && { mail: '' }) });

    // The disk of the node is gone: cron sends what happened.
    commit(on);
    await rename(on.stateDir, `${on.stateDir}.gone`);
    const failed = await run(on, command);
    // The part behind || has the exit code of what it prints.
    expect(failed.exitCode).toBe(command.includes('||') ? 0 : 5);
    expect(failed.mail).toContain('no SwingStore there');
    await rename(`${on.stateDir}.gone`, on.stateDir);

    await killed(on, command);
    commit(on);
    expect(await run(on, command)).toMatchObject({ exitCode: 0, ...(isQuiet && { mail: '' }) });
    const names = await readdir(join(on.dir, 'backup/snapshots'));
    const last = String(Number(made) + 3);
    expect(names.filter((name) => /^\.\d/u.test(name))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining([made, String(Number(made) + 1), last]));
    for (const height of await heights()) {
      const verified = await run(on, `swingsnap verify /backup/snapshots/${height}`);
      expect(verified).toMatchObject({ exitCode: 0 });
    }
  });

  it.each(checks)('checks a restore in CI, and fails if it must: %s', async (script) => {
    const on = await machine();
    expect(await run(on, first ?? '')).toMatchObject({ exitCode: 0 });
    commit(on);
    const json = cronLines.find((line) => line.includes('--json')) ?? '';
    expect(await run(on, json)).toMatchObject({ exitCode: 0 });
    expect(await run(on, script)).toMatchObject({ exitCode: 0 });
    const names = await readdir(join(on.dir, 'backup/snapshots'));
    const heights = names.filter((name) => !name.startsWith('.')).map(Number);
    const chunks = join(on.dir, 'backup/snapshots', String(Math.max(...heights)), 'chunks');
    const [chunk = ''] = await readdir(chunks);
    await writeFile(join(chunks, chunk), 'damaged');
    expect(await run(on, script)).toMatchObject({ exitCode: 3 });
    expect(await readdir(join(on.dir, 'backup'))).toEqual(['snapshots']);
  });

  it('says in the mail that node is missing, where the crontab sets no PATH', async () => {
    const on = await machine();
    const bare = await run(on, cronLines[0] ?? '', '/nowhere');
    expect(bare.exitCode).toBe(127);
    expect(bare.mail).toContain('node');
    expect(readDocument('docs/operations.md').text).toContain(`'node': No such file or directory`);
  });
});
