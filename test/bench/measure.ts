/** Runs a command and measures what it takes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Starting Node alone takes 40 MB. A peak between two looks is not missed: the kernel keeps the peak of each process.
 */
const LOOK_EVERY_MS = 25;

export interface Run {
  readonly seconds: number;
  /** Sum of the peak resident memory of the command and of all processes under it, in bytes. */
  readonly peakBytes: number;
  readonly stdout: string;
}

/** An array is one process; a string is a line for bash, with `pipefail`. */
export type Command = readonly string[] | string;

/** @throws {Error} with its standard error if the command fails */
export async function measure(
  command: Command,
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const [file, ...args] =
    typeof command === 'string' ? ['bash', '-o', 'pipefail', '-c', command] : command;
  const start = process.hrtime.bigint();
  const child = spawn(file!, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => stdout.push(piece));
  child.stderr.on('data', (piece: Buffer) => stderr.push(piece));
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
    const why = Buffer.concat(stderr).toString().slice(-2000);
    throw new Error(`${String(command)} ended with ${code ?? signal}: ${why}`);
  }
  const peakBytes = [...peaks.values()].reduce((sum, peak) => sum + peak, 0);
  return { seconds, peakBytes, stdout: Buffer.concat(stdout).toString() };
}

/** Notes the peak memory of a process and its descendants. Notes nothing on systems other than Linux. */
function notePeaks(pid: number, peaks: Map<number, number>): void {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const peak = /^VmHWM:\s+(\d+) kB/mu.exec(status)?.[1];
    if (peak !== undefined) peaks.set(pid, Number(peak) * 1024);
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').trim();
      for (const child of children === '' ? [] : children.split(' ')) {
        notePeaks(Number(child), peaks);
      }
    }
  } catch {
    // The process has ended meanwhile.
  }
}
