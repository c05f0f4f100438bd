/**
 * What all commands share: flags, progress, signals, and one way to print a result or an error and to exit.
 *
 * A command declares its `flags` and `args`, does its work in `execute`, and returns the lines for people from
 * `render`. Under `--json`, stdout holds exactly one JSON object on one line: the result plus `notes`, or `error`; and
 * the time, version and duration of the run.
 */

import { Command } from '@oclif/core/command';
import { ExitError } from '@oclif/core/errors';
import type { InferredArgs, InferredFlags } from '@oclif/core/interfaces';
import { EXIT_CODES, UsageError } from '../errors.ts';
import { askedBy } from './asked.ts';
import { exitCodeOf, reportError } from './exit/exit.ts';
import { listenForSignals } from './exit/signals.ts';
import { tellError, type Telling } from './exit/tell-error.ts';
import { baseFlags } from './flags/flags.ts';
import type { Measures, MetricsFile } from './metrics/metrics-file.ts';
import { eventLine, jsonProgress } from './progress/json-progress.ts';
import { linesProgress, silentProgress, type CommandProgress } from './progress/progress.ts';
import { runFacts, type RunFacts } from './run-facts.ts';
import { writeLines } from './text/output.ts';
import { formatJson, formatLine } from './text/printable.ts';

type CommandFlags<C extends typeof Command> = InferredFlags<typeof baseFlags & C['flags']>;
type CommandArgs<C extends typeof Command> = InferredArgs<C['args']>;

/** Of the commands that have `metricsFileFlag`. */
interface MetricsFlags {
  readonly 'metrics-file'?: string | undefined;
}

/** A result that `--json` prints: plain data. The base command owns the fields named here. */
export type CommandResult = object &
  Readonly<Partial<Record<'notes' | 'error' | keyof RunFacts, never>>>;

/** Extend as `class Export extends BaseCommand<typeof Export, ExportResult>`. */
export abstract class BaseCommand<
  C extends typeof Command,
  Result extends CommandResult,
> extends Command {
  static override baseFlags = baseFlags;

  /** The parsed flags and arguments, set before `execute`. */
  protected flags!: CommandFlags<C>;
  protected args!: CommandArgs<C>;
  /** For the library. Silent under `--json` and `--quiet`, but still collects notes. */
  protected progress: CommandProgress = silentProgress();
  /** For the library. SIGINT and SIGTERM abort it with an `InterruptedError`. */
  protected signal: AbortSignal = new AbortController().signal;
  /** Of `--metrics-file`. */
  #metrics: MetricsFile | undefined;
  #measures: Measures = {};

  /** Does the work. Throws on failure. */
  protected abstract execute(): Promise<Result>;

  /** The result as lines for stdout. Not called under `--json` and `--quiet`. */
  protected abstract render(result: Result): readonly string[];

  /** Tells `--metrics-file` what this run knows by now, also one that fails later. */
  protected measure(measures: Measures): void {
    this.#measures = { ...this.#measures, ...measures };
  }

  /** @throws {UsageError} `USAGE` if one of these flags is given, which apply to `what`, but `why` */
  protected refuseFlags(
    names: readonly Extract<keyof CommandFlags<C>, string>[],
    what: string,
    why: string,
  ): void {
    const given = names.find(
      (name) => this.flags[name] !== undefined && this.flags[name] !== false,
    );
    if (given === undefined) return;
    throw new UsageError('USAGE', `--${given} applies to ${what}, but ${why}`, {
      hint: `swingsnap ${this.id ?? ''} --help`,
    });
  }

  override async run(): Promise<void> {
    const listener = listenForSignals((name) => {
      this.#mention(name);
    });
    this.signal = listener.signal;
    try {
      // Otherwise oclif warns, in tests and in development, about every command line that does not parse.
      this.parsed = true;
      const { args, flags } = await this.parse();
      this.args = args as CommandArgs<C>;
      this.flags = flags as CommandFlags<C>;
      this.progress = await openProgress(flags as InferredFlags<typeof baseFlags>, process.stderr);
      await this.#openMetrics(flags as MetricsFlags);
      const result = await this.execute();
      await this.#writeMetrics(EXIT_CODES.done);
      await this.#succeed(result);
    } catch (error) {
      if (error instanceof ExitError) throw error;
      this.progress.finish('failed');
      // After a signal, any failure is a consequence of it: a worker in the same process group, a closed stream.
      const failure: unknown = this.signal.aborted ? this.signal.reason : error;
      await this.#writeMetrics(exitCodeOf(failure));
      await tellError(failure, { ...this.#telling, cause: error });
    } finally {
      listener.dispose();
    }
  }

  async #succeed(result: Result): Promise<void> {
    this.progress.finish('done');
    const { asked, notes } = this.#telling;
    if (asked.json) {
      await writeLines(process.stdout, [formatJson({ ...result, notes, ...runFacts() })]);
      return;
    }
    await writeLines(process.stdout, asked.quiet ? [] : this.render(result).map(formatLine));
  }

  #mention(signal: string): void {
    const { json, quiet, jsonLines } = askedBy(this.argv);
    if (!jsonLines && (json || quiet)) return;
    const line = jsonLines
      ? eventLine('signal', { signal })
      : `swingsnap: ${signal}: cleaning up; send it again to stop at once`;
    writeLines(process.stderr, [line]).catch(() => undefined);
  }

  /** A command line that does not parse names no metrics file for certain, and leaves it as it is. */
  async #openMetrics({ 'metrics-file': path }: MetricsFlags): Promise<void> {
    if (path === undefined) return;
    const { MetricsFile } = await import('./metrics/metrics-file.ts');
    this.#metrics = await MetricsFile.open(path, this.id ?? '');
  }

  /** The work is done or has failed by now, and no metric changes that: trouble with the file is only told. */
  async #writeMetrics(exitCode: number): Promise<void> {
    try {
      await this.#metrics?.write(exitCode, this.#measures);
    } catch (error) {
      const { message, path } = reportError(error, '');
      const where = path === undefined ? '' : `: ${path}`;
      const text = `the metrics file is not written: ${message}${where}`;
      this.progress.note(text);
      const { json, quiet } = askedBy(this.argv);
      if (!quiet || json) return;
      const line = `swingsnap: ${formatLine(text)}`;
      await writeLines(process.stderr, [line]).catch(() => undefined);
    }
  }

  get #telling(): Telling & { readonly notes: readonly string[] } {
    const command = `swingsnap ${this.id ?? ''}`.trim();
    const names = Object.keys({ ...baseFlags, ...this.ctor.flags }).map((name) => `--${name}`);
    return { command, names, asked: askedBy(this.argv), notes: this.progress.notes };
  }
}

/**
 * The progress for this run. The spinner is loaded only for a terminal that can move its cursor. A log of CI may claim to
 * be a terminal, and keeps every frame of a spinner.
 * @param env `CI`, `NO_COLOR` and `TERM` are obeyed
 */
export async function openProgress(
  flags: {
    readonly json: boolean;
    readonly quiet: boolean;
    readonly progress?: 'auto' | 'json' | 'none' | undefined;
  },
  stream: NodeJS.WriteStream,
  env: NodeJS.ProcessEnv = process.env,
): Promise<CommandProgress> {
  if (flags.progress === 'json') return jsonProgress(stream);
  if (flags.json || flags.quiet) return silentProgress();
  if (flags.progress === 'none') return silentProgress(stream);
  // ora never returns on a terminal that reports no width, such as one without a window (`script`).
  const hasCursor = stream.isTTY && stream.columns > 0 && env['TERM'] !== 'dumb';
  if (!hasCursor || isSet(env['CI'])) return linesProgress(stream);
  const { terminalProgress } = await import('./progress/terminal-progress.ts');
  // By no-color.org, any value counts but the empty one.
  return terminalProgress(stream, { hasColor: (env['NO_COLOR'] ?? '') === '' });
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false'].includes(value);
}
