/** A command whose argument decides what it does, and a function that runs it in this process. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { captureOutput } from '@oclif/test';
import { BaseCommand } from '../../src/cli/base-command.ts';
import {
  artifactModeFlag,
  heightFlag,
  metricsFileFlag,
  sourceArg,
  stateDirFlags,
} from '../../src/cli/flags/flags.ts';

export interface FakeResult {
  readonly source: string;
  readonly height: number | null;
}

/** The values that `execute` throws, by argument. */
export const thrown = new Map<string, unknown>();
/** What `execute` does before, by argument. */
export const acts = new Map<string, () => Promise<void>>();

export class Fake extends BaseCommand<typeof Fake, FakeResult> {
  static override args = { source: sourceArg };
  static override flags = {
    ...stateDirFlags,
    height: heightFlag,
    'artifact-mode': artifactModeFlag({ default: 'operational' }),
    'metrics-file': metricsFileFlag,
  };

  protected override async execute(): Promise<FakeResult> {
    const { source } = this.args;
    this.progress.phase('export data');
    this.progress.advance(5);
    this.progress.note('the store was copied');
    await acts.get(source)?.();
    this.measure({ height: this.flags.height, size: 5 });
    if (thrown.has(source)) throw thrown.get(source);
    if (source === 'wait') {
      process.stdout.write('waiting\n');
      await new Promise((_resolve, reject) => {
        const timer = setInterval(() => undefined, 1000);
        this.signal.addEventListener('abort', () => {
          clearInterval(timer);
          // Not the reason itself: streams and workers report an abort with an error like this.
          reject(new Error('The operation was aborted'));
        });
      });
    }
    return { source, height: this.flags.height ?? null };
  }

  protected override render(result: FakeResult): string[] {
    return [`read ${result.source}`, `  height ${result.height}`];
  }
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** Runs the command on `argv`, and restores `process.exitCode` afterwards. */
export async function runFake(...argv: string[]): Promise<Outcome> {
  const root = await mkdtemp(join(tmpdir(), 'swingsnap-cli-'));
  const before = process.exitCode;
  try {
    const oclif = { bin: 'swingsnap' };
    await writeFile(
      join(root, 'package.json'),
      JSON.stringify({ name: 'swingsnap', version: '0.0.0', oclif }),
    );
    process.exitCode = 0;
    const { stdout, stderr, error } = await captureOutput(() => Fake.run(argv, { root }));
    if (error !== undefined) throw error;
    return { stdout, stderr, exitCode: process.exitCode };
  } finally {
    process.exitCode = before;
    await rm(root, { recursive: true });
  }
}
