/** Runs the command line among other users, mounts and processes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CliResult } from '../fixtures/run-cli.ts';
import { SQLITE_MODULE } from '../fixtures/same-sqlite.ts';

const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

export const isRoot = process.getuid?.() === 0;

/** A user who owns nothing, where we may become one; elsewhere ourselves, so take write rights away beforehand. */
export const stranger: { readonly uid?: number; readonly gid?: number } = isRoot
  ? { uid: 65_534, gid: 65_534 }
  : {};

/** Whether a mount namespace of our own can be made and a tmpfs mounted in it. */
export const canMount =
  isRoot && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

export interface Surroundings {
  readonly uid?: number;
  readonly gid?: number;
  /** Shell commands that come before, in a mount namespace that ends with the command. */
  readonly mounts?: string;
  /** Sent once stderr holds `after`. */
  readonly kill?: { readonly signal: NodeJS.Signals; readonly after: string };
}

/** Runs `swingsnap <args>` in these surroundings, to its end. */
export async function runIn(
  { uid, gid, mounts, kill }: Surroundings,
  args: readonly string[],
): Promise<CliResult & { readonly pid: number }> {
  const words = [process.execPath, runPath, ...args];
  const [command = '', ...rest] =
    mounts === undefined
      ? words
      : ['unshare', '-m', 'sh', '-ec', `${mounts}\nexec "$@"`, 'sh', ...words];
  const child = spawn(command, rest, {
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    // Once: a second signal ends the command without cleaning up.
    if (kill !== undefined && !child.killed && stderr.includes(kill.after)) child.kill(kill.signal);
  });
  const [exitCode, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  const json: unknown = stdout.startsWith('{') ? JSON.parse(stdout) : undefined;
  return { stdout, stderr, exitCode, signal, json, pid: child.pid ?? 0 };
}

/** Another process that has a database open until it is told to let go. */
export interface Holder {
  release(): Promise<void>;
}

/**
 * Opens `database` in a process of its own and runs `sql` there.
 * @param sql what the holder does before it is taken to hold, `BEGIN IMMEDIATE` for instance
 */
export async function holdDatabase(database: string, sql = 'SELECT 1'): Promise<Holder> {
  const script = `
    import { openDatabase } from '${SQLITE_MODULE}';
    // What nothing references would be closed by the garbage collector.
    const db = (globalThis.held = openDatabase(process.argv[1]));
    db.exec(process.argv[2]);
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    console.log('held');
    process.stdin.on('end', () => process.exit()).resume();
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, database, sql], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  await Promise.race([
    once(child.stdout, 'data'),
    closed.then(() => {
      throw new Error('the holder could not open the database');
    }),
  ]);
  return {
    release: async () => {
      child.stdin.end();
      await closed;
    },
  };
}
