/** Exports as processes that a test can hold, kill and inspect. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../../src/io/sqlite.ts';
import { operationOn } from '../../src/operation/lock/lock.ts';
import { fateOf } from '../../src/operation/lock/record.ts';

const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

/** An error as `--json` prints it, and the parts of the results that these tests check. */
export interface Told {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly pid?: number;
  readonly height?: number;
  readonly state?: string;
  readonly path?: string;
  readonly ended?: boolean;
  readonly gone?: boolean;
  readonly exportDir?: string;
  readonly notes?: readonly string[];
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly path?: string;
    readonly expected?: string | number;
    readonly found?: string | number;
    readonly hint?: string;
  };
}

export interface Command {
  readonly child: ChildProcess;
  /** Resolves with the first of its stdout. */
  readonly spoke: Promise<void>;
  readonly told: Promise<Told>;
}

/**
 * Starts `swingsnap <args> --json`.
 * @param wrap words before it, for instance of unshare(1)
 * @param more of the environment
 */
export function start(
  args: readonly string[],
  wrap: readonly string[] = [],
  cwd = '/',
  more: Readonly<Record<string, string>> = {},
): Command {
  const [command, ...rest] = [...wrap, process.execPath, runPath, ...args, '--json'];
  const env = { ...process.env, NO_COLOR: '1', HOME: '/nonexistent', ...more };
  const child = spawn(command, rest, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const told = (async () => {
    const [exitCode, signal] = (await once(child, 'close')) as [
      number | null,
      NodeJS.Signals | null,
    ];
    const json = stdout === '' ? {} : (JSON.parse(stdout) as object);
    return { ...json, exitCode, signal, stderr };
  })();
  const spoke = Promise.race([once(child.stdout, 'data'), told]).then(() => undefined);
  return { child, spoke, told };
}

export async function swingsnap(...args: readonly string[]): Promise<Told> {
  return start(args).told;
}

/** Whether a process exists and is not merely a zombie. */
export function isRunning(pid: number): boolean {
  try {
    // The last thread of a process closes what the process has open, and may end after the first thread.
    if (readdirSync(`/proc/${pid}/task`).length > 1) return true;
    return !/\) [ZX] /u.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Waits until `look` returns a value. A test that waits in vain fails by its own timeout. */
export async function until<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(5);
  }
}

export async function untilGone(pid: number): Promise<void> {
  await until(() => (isRunning(pid) ? undefined : true));
}

/** Adds enough keys that a test can catch an export in progress. */
export function enlarge(stateDir: string, keys = 120_000): void {
  const db = openDatabase(join(stateDir, 'swingstore.sqlite'));
  db.exec(`
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${keys})
    INSERT INTO kvStore SELECT 'z.' || n, hex(randomblob(150)) FROM numbers;
  `);
  db.close();
}

/** Commits a block that changes nothing but the height. */
export function setHeight(stateDir: string, height: number): void {
  const db = openDatabase(join(stateDir, 'swingstore.sqlite'));
  db.prepare(`UPDATE kvStore SET value = ? WHERE key = 'host.height'`).run(String(height));
  db.close();
}

/** An export whose worker is stopped, with its view pinned, until `SIGCONT`. */
export interface Held {
  readonly command: Command;
  /** Process id of the worker. */
  readonly pid: number;
}

/** Starts an export and stops its worker while its record says `started`. */
export async function hold(
  stateDir: string,
  exportDir: string,
  ...more: readonly string[]
): Promise<Held> {
  for (let attempts = 5; attempts > 0; attempts -= 1) {
    const args = ['export', '--state-dir', stateDir, '--export-dir', exportDir, ...more];
    const command = start(args);
    const pid = await until(async () => {
      const notice = existsSync(exportDir) ? operationOn(exportDir) : undefined;
      if (notice?.height !== undefined) return notice.pid;
      if (command.child.exitCode !== null) throw new Error(JSON.stringify(await command.told));
      return undefined;
    });
    process.kill(pid, 'SIGSTOP');
    const found = await fateOf(exportDir);
    if (found?.record.state === 'started' && found.fate === 'running') return { command, pid };
    process.kill(pid, 'SIGCONT');
    await command.told;
    await untilGone(pid);
    await swingsnap('discard', '--export-dir', exportDir);
  }
  throw new Error('every export was done before it could be held');
}
