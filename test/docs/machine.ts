/** A machine as the documents describe it, below one directory: a node, a backup disk, and what is installed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../../src/io/sqlite.ts';
import { buildStore } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';

export interface Machine {
  readonly dir: string;
  readonly stateDir: string;
}

/** @param dir an empty directory */
export async function makeMachine(dir: string): Promise<Machine> {
  const stateDir = join(dir, 'home/agoric/.agoric/data/agoric');
  const made = ['bin', 'backup', 'log', 'home/agoric/.agoric/config', 'tmp', 'lib/metrics'];
  for (const name of made) await mkdir(join(dir, name), { recursive: true });
  await buildStore(stateDir, tinySpec);
  await symlink(process.execPath, join(dir, 'bin/node'));
  const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
  await symlink(program, join(dir, 'bin/swingsnap'));
  const jq = join(dir, 'bin/jq');
  await writeFile(jq, `#!/bin/sh\nexec node -p 'JSON.parse(fs.readFileSync(0)).contentHash'\n`);
  await chmod(jq, 0o755);
  return { dir, stateDir };
}

/** A text with the paths of this machine. */
export function here({ dir }: Machine, text: string): string {
  return text
    .replaceAll('/usr/local/bin', join(dir, 'bin'))
    .replaceAll('/home/agoric', join(dir, 'home/agoric'))
    .replaceAll('/backup', join(dir, 'backup'))
    .replaceAll('/var/log/swingsnap', join(dir, 'log'))
    .replaceAll('/var/lib/swingsnap', join(dir, 'lib'))
    .replaceAll('ssh agoric-node ', '');
}

export interface Ran {
  readonly exitCode: unknown;
  /** What cron would send: standard output and standard error. */
  readonly mail: string;
}

/** Starts a command as cron does: in /bin/sh, with almost no environment. */
export function start(on: Machine, command: string, path: string) {
  return spawn('/bin/sh', ['-c', here(on, command)], {
    env: {
      PATH: here(on, path),
      HOME: join(on.dir, 'home/agoric'),
      SWINGSNAP_STATE_DIR: join(on.dir, 'own'),
      TMPDIR: join(on.dir, 'tmp'),
    },
    cwd: on.dir,
    detached: true,
  });
}

export async function run(on: Machine, command: string, path: string): Promise<Ran> {
  const child = start(on, command, path);
  let mail = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (mail += text));
  }
  const [exitCode] = (await once(child, 'close')) as [unknown];
  return { exitCode, mail };
}

/** The node commits blocks. */
export function commit({ stateDir }: Machine, blocks = 1): void {
  const store = openDatabase(join(stateDir, 'swingstore.sqlite'));
  const next = store.prepare(`UPDATE kvStore SET value = value + ? WHERE key = 'host.height'`);
  next.run(blocks);
  store.close();
}
