/** Errors of what surrounds the program: one line, and what to do. */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { runCli } from '../fixtures/run-cli.ts';

const tempDir = useTempDir();
const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const archive = fileURLToPath(
  new URL('../fixtures/state-sync/format3/1000-3.tar.gz', import.meta.url),
);

it('says that it is not built, and how to build it', async () => {
  const root = await tempDir();
  await mkdir(join(root, 'bin'));
  await cp(runPath, join(root, 'bin', 'run.js'));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--experimental-default-type=module', join(root, 'bin', 'run.js'), '--version'],
    { encoding: 'utf8' },
  );
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr.trimEnd().split('\n')).toEqual([
    `swingsnap: it is not built: there is no ${join(root, 'dist', 'cli', 'main.js')}`,
    `hint: cd '${root}/' && npm install && npm run build`,
  ]);
});

it('says that the working directory is gone', async () => {
  const gone = join(await tempDir(), 'gone');
  await mkdir(gone);
  const script = 'cd "$1" && rmdir "$1" && exec "$2" "$3" verify x';
  const { status, stderr } = spawnSync(
    'sh',
    ['-c', script, 'sh', gone, process.execPath, runPath],
    { encoding: 'utf8' },
  );
  await rmdir(gone).catch(() => undefined);
  expect(status).toBe(5);
  expect(stderr).toBe(
    `swingsnap: the working directory is no longer there\n  path:     ${gone}\n` +
      'hint: change to another directory, and run the command again: cd /\n',
  );
});

it('says that TMPDIR is missing, and needs none for its version', async () => {
  const env = { TMPDIR: join(await tempDir(), 'missing') };
  const { exitCode, stderr } = await runCli(['verify', archive, '-q'], { env });
  expect(exitCode).toBe(6);
  expect(stderr).toBe(
    `swingsnap: the directory for temporary files does not exist\n  path:     ${env.TMPDIR}\n` +
      'hint: set TMPDIR to a directory on a disk, or name one with --scratch-dir\n',
  );
  expect((await runCli(['--version'], { env })).exitCode).toBe(0);
});
