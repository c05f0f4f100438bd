/**
 * File systems that do not answer: one of FUSE, whose server opens its device and reads no request, so that only SIGKILL
 * ends who waits for it; and a frozen one, which not even this ends.
 */
import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { runAs, swingsnapWords, type Ended } from './other-users.ts';

const fileDir = useTempDir('file');
let dir: string;

beforeAll(async () => {
  dir = await fileDir();
  await buildStore(join(dir, 'S'), tinySpec);
  for (const name of ['dead', 'frozen', 'S2', 'S3']) await mkdir(join(dir, name));
  await buildStore(join(dir, 'S4'), tinySpec);
});
afterAll(closeReference);

const DEAD =
  'exec 9<>/dev/fuse; mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 none dead || exit 99';

/** Each test has an image of its own. */
function frozen(image: string): string {
  return `truncate -s 16M ${image} && mkfs.ext4 -q ${image} && mount -o loop ${image} frozen && fsfreeze -f frozen || exit 99
    trap 'fsfreeze -u frozen; wait; umount frozen' EXIT`;
}

function canFreeze(): boolean {
  const script = `cd "$(mktemp -d)" && mkdir frozen && ${frozen('image')}`;
  return spawnSync('unshare', ['--mount', 'bash', '-c', script]).status === 0;
}

const lockModule = new URL('../../dist/operation/lock/lock.js', import.meta.url).href;

/** Starts a worker with the lock of a store, that waits for the file system of its export directory: `$worker`. */
function waitingWorker(stateDir: string, exportDir: string): string {
  const script = `
    import fs from "node:fs";
    const { lockOperation, lockedPathsOf } = await import("${lockModule}");
    const [stateDir, exportDir] = process.argv.slice(1);
    lockOperation(lockedPathsOf(stateDir), { operation: "export", stateDir, exportDir });
    fs.writeFileSync(stateDir + ".locked", "");
    fs.mkdirSync(exportDir);`;
  const node = `'${process.execPath}' --input-type=module -e '${script}'`;
  return `${node} "$PWD/${stateDir}" "$PWD/${exportDir}" & worker=$!
    until [ -e ${stateDir}.locked ]; do sleep 0.1; done; sleep 0.5`;
}

/** Runs a script in a mount namespace of its own; `$@` is swingsnap. */
async function inNamespace(script: string): Promise<Ended> {
  const words = ['unshare', '--mount', 'bash', '-c', script, 'bash', ...(await swingsnapWords())];
  return runAs(0, words, { cwd: dir, env: { SWINGSNAP_STATE_DIR: join(dir, 'state') } });
}

describe.concurrent('a file system that does not answer', { timeout: 120_000 }, () => {
  it.each([
    'export --state-dir S --export-dir dead/E',
    'retrieve --state-dir dead/S --snapshot-dir D',
    'retrieve --state-dir S --snapshot-dir D --module ibc=files:dead/ibc',
    'verify dead/D',
    'status --export-dir dead/E',
    'discard --export-dir dead/E',
  ])('is named by %s', async (words) => {
    const { exitCode, stdout } = await inNamespace(
      `${DEAD}; timeout -s KILL 60 "$@" ${words} --json`,
    );
    expect(exitCode, stdout).toBe(6);
    const [path = ''] = /dead\/\w+/u.exec(words) ?? [];
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'NO_ANSWER',
        message: 'the file system does not answer',
        path: join(dir, path),
      },
    });
  });

  it('keeps no worker from being ended by discard, which finds it by its store', async () => {
    const { exitCode, stdout, stderr } = await inNamespace(`${DEAD}
      ${waitingWorker('S2', 'dead/E')}
      timeout -s KILL 90 "$@" discard --state-dir S2 --json
      code=$?; ps -o pid= -p $worker >&2; exit $code`);
    expect(exitCode, stdout).toBe(6);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'NO_ANSWER' } });
    expect(stderr).not.toMatch(/^ *\d+$/mu);
  });
});

describe.runIf(canFreeze())(
  'a worker that the kernel does not let go',
  { timeout: 120_000 },
  () => {
    it.concurrent('is named by discard, which ends', async () => {
      const { exitCode, stdout, stderr } = await inNamespace(`${frozen('image3')}
      ${waitingWorker('S3', 'frozen/E')}
      echo $worker >&2
      timeout -s KILL 90 "$@" discard --export-dir frozen/E --json`);
      expect(exitCode, stdout).toBe(6);
      expect(JSON.parse(stdout)).toMatchObject({
        error: {
          code: 'WORKER_STUCK',
          path: join(dir, 'frozen', 'E'),
          found: expect.stringContaining(`process ${/^\d+/u.exec(stderr)?.[0] ?? ''},`) as string,
        },
      });
    });

    it.concurrent('is named by the command that waits for it, which ends', async () => {
      const { exitCode, stdout } = await inNamespace(`${frozen('image4')}
      timeout --preserve-status -k 60 5 "$@" export --state-dir S4 --export-dir frozen/E --json`);
      expect(exitCode, stdout).toBe(143);
      const { error, notes } = JSON.parse(stdout) as { error: { code: string }; notes: string[] };
      expect(error.code).toBe('INTERRUPTED');
      expect(notes.at(-1)).toMatch(/does not end: process \d+, which waits for a disk/u);
    });
  },
);
