/** Runs a command and measures what it takes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';

/**
 * Starting Node alone takes 40 MB. A peak between two looks is not missed: the kernel keeps the peak of each process.
 */
const LOOK_EVERY_MS = 25;

export interface Run {
  readonly seconds: number;
  /** Of the command and of all processes that it waited for. */
  readonly cpuSeconds: number;
  /** Sum of the peak resident memory of the command and of all processes under it, in bytes. */
  readonly peakBytes: number;
  readonly stdout: string;
}

/** An array is one process; a string is a line for bash, with `pipefail`. */
export type Command = readonly string[] | string;

/**
 * Runs a command of several words and writes its seconds of CPU, of user and of system, to descriptor 3. Node does not tell
 * what a child took.
 */
const TIMED = 'exec 4>&2; TIMEFORMAT="%3U %3S"; { time "$@" 2>&4 3>&- 4>&-; } 2>&3';

/** @throws {Error} with its standard error if the command fails */
export async function measure(
  command: Command,
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const words = typeof command === 'string' ? ['bash', '-o', 'pipefail', '-c', command] : command;
  const start = process.hrtime.bigint();
  const child = spawn('bash', ['-c', TIMED, 'bash', ...words], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const [, stdout, stderr, times] = child.stdio.map(collected);
  const peaks = new Map<number, number>();
  const look = (): void => {
    if (child.pid !== undefined) notePeaks(child.pid, peaks);
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  look();
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  clearInterval(timer);
  if (code !== 0) {
    const why = textOf(stderr).slice(-2000);
    throw new Error(`${String(command)} ended with ${code ?? signal}: ${why}`);
  }
  const peakBytes = [...peaks.values()].reduce((sum, peak) => sum + peak, 0);
  const cpuSeconds = textOf(times)
    .split(/\s+/u)
    .reduce((sum, part) => sum + Number(part), 0);
  return { seconds, cpuSeconds, peakBytes, stdout: textOf(stdout) };
}

function collected(stream: Readable | Writable | null | undefined): Buffer[] {
  const pieces: Buffer[] = [];
  stream?.on('data', (piece: Buffer) => pieces.push(piece));
  return pieces;
}

const textOf = (pieces: readonly Buffer[] = []): string => Buffer.concat(pieces).toString();

/**
 * Notes the peak memory of a process and its descendants. Notes nothing on systems other than Linux.
 * @param before the command line of its parent. A child has it until it runs its own program, and up to then has the
 *   memory of its parent, which would count twice.
 */
function notePeaks(pid: number, peaks: Map<number, number>, before?: string): void {
  try {
    // Before the status, which is the child's own if this is.
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    if (commandLine === before) return;
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const peak = /^VmHWM:\s+(\d+) kB/mu.exec(status)?.[1];
    if (peak !== undefined) peaks.set(pid, Number(peak) * 1024);
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').trim();
      for (const child of children === '' ? [] : children.split(' ')) {
        notePeaks(Number(child), peaks, commandLine);
      }
    }
  } catch {
    // The process has ended meanwhile.
  }
}
