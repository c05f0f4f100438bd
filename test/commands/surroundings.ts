/** Runs the command line among other users, mounts and processes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CliResult } from '../fixtures/run-cli.ts';
import { SQLITE_MODULE } from '../fixtures/same-sqlite.ts';

const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

export const isRoot = process.getuid?.() === 0;

/** A user who owns nothing, if we may become one. Otherwise ourselves, so remove write permissions beforehand. */
export const stranger: { readonly uid?: number; readonly gid?: number } = isRoot
  ? { uid: 65_534, gid: 65_534 }
  : {};

/** Whether we can create a mount namespace and mount a tmpfs in it. */
export const canMount =
  isRoot && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

export interface Surroundings {
  readonly uid?: number;
  readonly gid?: number;
  /** Shell commands to run first, in a mount namespace that ends with the command. */
  readonly mounts?: string;
  /** Sent once stderr holds `after`. */
  readonly kill?: { readonly signal: NodeJS.Signals; readonly after: string };
}

/** Runs `swingsnap <args>` in these surroundings until it exits. */
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

/** Another process that keeps a database open until it is released. */
export interface Holder {
  release(): Promise<void>;
}

/**
 * Opens `database` in another process and runs `sql` there.
 * @param sql what the process runs before it counts as the holder, for instance `BEGIN IMMEDIATE`
 */
export async function holdDatabase(database: string, sql = 'SELECT 1'): Promise<Holder> {
  const script = `
    import { openDatabase } from '${SQLITE_MODULE}';
    // Without a reference, the garbage collector closes the database.
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
