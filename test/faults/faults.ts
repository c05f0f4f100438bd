/**
 * Runs swingsnap with `hook.js` in its processes. The hook logs every step, and makes something go wrong where a test
 * wants it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectoryLock } from '../../src/io/locks/directory-lock.ts';
import { runCli, type CliResult } from '../fixtures/run-cli.ts';

/** A process, or one of its threads. Each counts its own steps. */
export type Role = Process | `${Process} thread ${number}`;

export type Process = 'command' | 'worker';

/** Whether a thread of a process, other than its first, takes the step. */
export function isThreadOf(process: Process, { role }: Pick<Step, 'role'>): boolean {
  return role.startsWith(`${process} thread `);
}

interface Where {
  readonly role: Role;
  /** Number of the step in that process, counted from 1. */
  readonly at?: number;
  /** Instead: every step from that number on. */
  readonly from?: number;
  readonly when: 'before' | 'after';
  /** Only if the step is one of these calls. */
  readonly calls?: readonly string[];
}

/** What goes wrong, and where. */
export type Fault = Where &
  (
    | { readonly type: 'kill'; readonly who: 'self' | 'parent' | 'both' }
    | { readonly type: 'error'; readonly code: string }
    /** Calls of `node:fs`, by the names of the synchronous ones. */
    | {
        readonly type: 'run';
        readonly steps: readonly (readonly [verb: string, ...args: unknown[]])[];
      }
  );

/** A step that changes something below the root. The hook logs it before it is taken. */
export interface Step {
  readonly n: number;
  readonly role: Role;
  readonly call: string;
  readonly path: string;
  /** Target of a rename, a link or a copy. */
  readonly to?: string;
  /** Whether an open made the file. */
  readonly made?: boolean;
  /** For a sync: name of the copy of the file's bytes in the shadow directory. */
  readonly copy?: string;
  readonly directory?: boolean;
}

/** The end of the step with the same number and role. */
export interface StepEnd {
  readonly n: number;
  readonly role: Role;
  readonly end: true;
}

export interface FaultyRun extends CliResult {
  readonly log: readonly (Step | StepEnd)[];
  readonly steps: readonly Step[];
}

/** A directory for one run: `root` holds what the user knows, the rest is ours. */
export interface Place {
  readonly root: string;
  readonly shadow: string;
  readonly log: string;
  /** A value in the environment of every process that is started here. */
  readonly mark: string;
}

/** A command that runs longer hangs, and is ended. */
const PATIENCE_MS = 60_000;

const hook = new URL('./hook.js', import.meta.url).href;

export async function makePlace(dir: string): Promise<Place> {
  const place = {
    root: join(dir, 'root'),
    shadow: join(dir, 'shadow'),
    log: join(dir, 'log.jsonl'),
    mark: dir,
  };
  for (const made of [place.root, place.shadow]) await mkdir(made, { recursive: true });
  return place;
}

/** Runs a command without any hook. */
export async function run(place: Place, args: readonly string[]): Promise<CliResult> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  return runCli(args, { env: plainEnv(place), cwd: place.root, signal });
}

export function plainEnv(place: Place): Record<string, string> {
  return { SWINGSNAP_FAULT_MARK: place.mark };
}

/** The environment in which all processes of a command have the hook. */
export function faultyEnv(
  place: Place,
  fault?: Fault,
  { shadow = false } = {},
): Record<string, string> {
  const { root, log } = place;
  const plan = { root, log, fault, ...(shadow ? { shadow: place.shadow } : {}) };
  return {
    ...plainEnv(place),
    NODE_OPTIONS: `--import ${hook}`,
    SWINGSNAP_FAULT: JSON.stringify(plan),
  };
}

export async function runFaulty(
  place: Place,
  args: readonly string[],
  fault?: Fault,
  { shadow = false } = {},
): Promise<FaultyRun> {
  await rm(place.log, { force: true });
  const { root, log } = place;
  const result = await runCli(args, {
    env: faultyEnv(place, fault, { shadow }),
    cwd: root,
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const text = await readFile(log, 'utf8').catch(() => '');
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Step | StepEnd);
  return { ...result, log: lines, steps: lines.filter((line): line is Step => !('end' in line)) };
}

/** Ids of running processes that were started at the place. */
export function processesOf(place: Place): number[] {
  const mark = `SWINGSNAP_FAULT_MARK=${place.mark}\0`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/u.test(name))
    .filter((pid) => {
      try {
        return `${readFileSync(`/proc/${pid}/environ`, 'latin1')}\0`.includes(mark);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/**
 * Runs a command without any hook, and after a while kills those of its processes that `who` names.
 * @param options `delay` in milliseconds
 */
export async function runKilled(
  place: Place,
  args: readonly string[],
  { delay, who }: { readonly delay: number; readonly who: Role | 'all' },
): Promise<CliResult> {
  const result = run(place, args);
  await sleep(delay);
  for (const pid of processesOf(place)) {
    try {
      const isWorker = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('export-worker.js');
      if (who === 'all' || (who === 'worker') === isWorker) process.kill(pid, 'SIGKILL');
    } catch {
      // The process has just ended by itself.
    }
  }
  return result;
}

/** Waits until no process of the place is left. Returns those that stay. */
export async function processesLeft(place: Place, patience = 15_000): Promise<number[]> {
  const deadline = Date.now() + patience;
  for (;;) {
    const left = processesOf(place);
    if (left.length === 0 || Date.now() > deadline) return left;
    await sleep(20);
  }
}

/** Directories whose lock a process holds. */
export function locksLeft(place: Place): string[] {
  const below = readdirSync(place.root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
  return [place.root, ...below].filter((dir) => DirectoryLock.isHeldAt(dir));
}

/** Our names below the root for unfinished files. The record of an export is not one of them. */
export function temporariesLeft(place: Place): string[] {
  return readdirSync(place.root, { recursive: true, encoding: 'utf8' }).filter((path) => {
    const name = path.split('/').at(-1) ?? '';
    if (name === '.swingsnap-operation.json') return false;
    return name.startsWith('.swingsnap-') || /^\.\d+-|^\.lock/u.test(name);
  });
}
