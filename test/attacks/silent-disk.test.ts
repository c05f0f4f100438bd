/** A file system that never answers: one of FUSE, whose server opens its device and reads no request. */
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
  await mkdir(join(dir, 'dead'));
});
afterAll(closeReference);

/** Runs a script in a mount namespace where `dead` does not answer, and `$@` is swingsnap. */
async function besideDead(script: string): Promise<Ended> {
  const mount =
    'exec 9<>/dev/fuse; mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 none dead || exit 99';
  return runAs(
    0,
    [
      'unshare',
      '--mount',
      'bash',
      '-c',
      `${mount}; ${script}`,
      'bash',
      ...(await swingsnapWords()),
    ],
    { cwd: dir, env: { SWINGSNAP_STATE_DIR: join(dir, 'state') } },
  );
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
    const { exitCode, stdout } = await besideDead(`timeout -s KILL 60 "$@" ${words} --json`);
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
});
