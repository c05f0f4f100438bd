/**
 * Acts as other users of the machine: `npm run attacks`. This needs root and `setpriv` of util-linux. Each test attacks
 * as one of them, and runs swingsnap as root or as the other.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { access, chmod, cp, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Two users who own nothing and have no entry in passwd. */
export const ALICE = 54_321;
export const MALLORY = 54_322;

const run = promisify(execFile);

function argumentsFor(uid: number): string[] {
  return [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--no-new-privs'];
}

let readable: Promise<string> | undefined;

/** A directory with the program that other users may read: the checkout, or a copy of what runs. */
async function programRoot(): Promise<string> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  try {
    const probe = path.join(root, 'dist', 'cli', 'main.js');
    await run('setpriv', [...argumentsFor(MALLORY), 'test', '-r', probe]);
    return root;
  } catch {
    await access(path.join(root, 'dist'));
  }
  const copy = await mkdtemp(path.join(tmpdir(), 'swingsnap-program-'));
  await chmod(copy, 0o755);
  for (const name of [
    'bin',
    'dist',
    'packages',
    'package.json',
    'node_modules',
    'oclif.manifest.json',
    'test/fixtures/reference',
  ]) {
    await cp(path.join(root, name), path.join(copy, name), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  return copy;
}

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a program as the user `uid`, in an environment of its own. */
export function startAs(
  uid: number,
  command: readonly string[],
  options: RunOptions = {},
): ChildProcess {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: '/nonexistent',
    NO_COLOR: '1',
    ...options.env,
  };
  const words = uid === 0 ? command : ['setpriv', ...argumentsFor(uid), ...command];
  const [program = '', ...rest] = words;
  return spawn(program, rest, { env, cwd: options.cwd ?? '/', stdio: 'pipe' });
}

/** Runs a program as the user `uid` to its end. */
export async function runAs(
  uid: number,
  command: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const child = startAs(uid, command, options);
  const texts = { stdout: '', stderr: '' };
  child.stdin?.end();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk: Buffer) => (texts[name] += chunk.toString()));
  }
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { exitCode, ...texts };
}

/** The words that run a script of the checkout, `<file> <args>`, for a user who may not read the checkout. */
async function scriptWords(file: string, args: readonly string[]): Promise<string[]> {
  readable ??= programRoot();
  return [path.join(await readable, file), ...args];
}

/** The words that run `swingsnap <args>` for a user who may not read the checkout. */
export async function swingsnapWords(...args: readonly string[]): Promise<string[]> {
  return [process.execPath, ...(await scriptWords('bin/run.js', args))];
}

/** Commits a block at this height with the reference library, as the node of the user `uid` would. */
export async function commitAs(uid: number, stateDir: string, height: number): Promise<Ended> {
  const [sameSqlite = ''] = await scriptWords('test/fixtures/reference/same-sqlite.js', []);
  const args = [stateDir, `${height}`];
  const words = await scriptWords('test/fixtures/reference/commit-block.js', args);
  return runAs(uid, [process.execPath, '--import', sameSqlite, ...words]);
}

/** Runs the built `swingsnap <args>` as the user `uid` (0: root). */
export async function swingsnapAs(
  uid: number,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  return runAs(uid, await swingsnapWords(...args), options);
}
