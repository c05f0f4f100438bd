/** Runs a command in a process of its own, and measures what it takes. */
import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const RUN = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const TELL_PEAK = fileURLToPath(new URL('tell-peak.js', import.meta.url));

export interface Taken {
  /** Undefined if it was killed after its time. */
  readonly exitCode: number | undefined;
  /** The code of the error, if there was one. */
  readonly code: string | undefined;
  readonly ms: number;
  /** Peak memory in bytes; undefined if it was killed. */
  readonly peak: number | undefined;
}

/**
 * @param args arguments of swingsnap
 * @param dir a directory for a file of this function
 * @param maxMs time after which the process is killed
 */
export async function runBounded(
  args: readonly string[],
  dir: string,
  maxMs: number,
): Promise<Taken> {
  const peakFile = join(dir, 'peak');
  await rm(peakFile, { force: true });
  const started = performance.now();
  const child = spawn(process.execPath, ['--import', TELL_PEAK, RUN, ...args, '--json'], {
    env: { ...process.env, SWINGSNAP_PEAK_FILE: peakFile },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const stdout: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => stdout.push(piece));
  const timer = setTimeout(() => child.kill('SIGKILL'), maxMs);
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  const ms = performance.now() - started;
  const peak = await readFile(peakFile, 'utf8').catch(() => undefined);
  return {
    exitCode: exitCode ?? undefined,
    code: codeIn(Buffer.concat(stdout).toString()),
    ms,
    peak: peak === undefined ? undefined : Number(peak) * 1024,
  };
}

function codeIn(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { code: string } }).error?.code;
  } catch {
    return undefined;
  }
}
