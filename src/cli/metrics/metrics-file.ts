/**
 * The file of `--metrics-file`: what a monitor must know of the last run of each command, in the text format of
 * Prometheus, for the textfile collector of node_exporter.
 *
 * A command that fails writes the file too, and keeps what the file says of the last success. A command that is killed
 * writes nothing, so the last success stays what it was.
 */
import { constants } from 'node:fs';
import { basename, dirname, extname, resolve } from 'node:path';
import type * as Prometheus from 'prom-client';
import { NotFoundError, StorageError, UsageError } from '../../errors.ts';
import { publishFile, writeFully } from '../../io/files/publish-file.ts';
import { SourceFile } from '../../io/files/source-file.ts';
import { kindOf, statIfThere } from '../../io/files/stat-if-there.ts';
import { isMissing, systemCode } from '../../io/files/system-error.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { checkWritable } from '../../operation/preflight.ts';
import { readEarlier, type Values } from './earlier.ts';

/** What a run came to know. What it did not come to know keeps the value of the run before. */
export interface Measures {
  /** The height of the snapshot, store or export. */
  readonly height?: number | undefined;
  /** Bytes that the command made, or read to the end. */
  readonly size?: number | undefined;
  /** Bytes that the command removed. */
  readonly freed?: number | undefined;
  /** When the newest snapshot was made, in ms since the epoch. */
  readonly newestMadeAt?: number | undefined;
}

const EXTENSION = '.prom';
/** Far more than all commands need. */
const MAX_BYTES = 64 * 1024;
/** The collector may run as any user. Nothing in the file is secret. */
const MODE = 0o644;

const LAST_SUCCESS = 'swingsnap_last_success_timestamp_seconds';

/** The metrics, in the order of the file, with their help. Names and meanings are promises. */
const METRICS: Readonly<Record<string, string>> = {
  [LAST_SUCCESS]: 'Unix time at which the command last succeeded; 0 if it never did.',
  swingsnap_last_run_timestamp_seconds: 'Unix time at which the last run of the command ended.',
  swingsnap_last_run_duration_seconds: 'How long the last run of the command took.',
  swingsnap_last_run_exit_code: 'Exit code of the last run of the command.',
  swingsnap_height: 'Block height of what the command last made or read.',
  swingsnap_newest_timestamp_seconds: 'Unix time at which the newest snapshot was made.',
  swingsnap_size_bytes: 'Size of what the command last made or read.',
  swingsnap_freed_bytes: 'Size of what the command last removed.',
};

export class MetricsFile {
  readonly #path: string;
  readonly #command: string;
  readonly #prometheus: typeof Prometheus;

  private constructor(path: string, command: string, prometheus: typeof Prometheus) {
    this.#path = path;
    this.#command = command;
    this.#prometheus = prometheus;
  }

  /**
   * Checks that the file can be written at the end, before any work begins. Changes nothing.
   * @param command the label of the values: `retrieve`
   * @throws {UsageError} `METRICS_FILE` for another name than `*.prom`, which no collector would read
   * @throws {NotFoundError} `METRICS_DIR` if the directory does not exist
   * @throws {StorageError} `METRICS_FILE` if something else is there; as `checkWritable`
   */
  static async open(path: string, command: string): Promise<MetricsFile> {
    const file = resolve(path);
    if (extname(file) !== EXTENSION) {
      throw new UsageError('METRICS_FILE', 'the metrics file has a name that is not collected', {
        path: file,
        expected: `a name that ends in ${EXTENSION}`,
        hint: `name it ${basename(file)}${EXTENSION}: node_exporter reads no others`,
      });
    }
    const dir = dirname(file);
    if (statIfThere(dir) === undefined) {
      throw new NotFoundError('METRICS_DIR', 'the directory of the metrics file does not exist', {
        path: dir,
        hint: `check the path, or make the directory: mkdir ${shellQuote(dir)}`,
      });
    }
    checkWritable(dir, 'directory of the metrics file');
    // node_exporter is no part of most nights.
    const metrics = new MetricsFile(file, command, await import('prom-client'));
    await metrics.#earlier();
    return metrics;
  }

  /**
   * Writes what became of this run, and keeps what the file says of other commands.
   * @param exitCode of this process
   * @param measures what it came to know
   * @throws {StorageError} `METRICS_FILE`; system errors
   */
  async write(exitCode: number, measures: Measures): Promise<void> {
    const now = Date.now() / 1000;
    const commands = await this.#earlier();
    const own = commands.get(this.#command) ?? new Map<string, number>();
    commands.set(this.#command, own);
    if (exitCode === 0 || !own.has(LAST_SUCCESS)) own.set(LAST_SUCCESS, exitCode === 0 ? now : 0);
    own.set('swingsnap_last_run_timestamp_seconds', now);
    own.set('swingsnap_last_run_duration_seconds', process.uptime());
    own.set('swingsnap_last_run_exit_code', exitCode);
    const { height, size, freed, newestMadeAt } = measures;
    const known = {
      swingsnap_height: height,
      swingsnap_newest_timestamp_seconds: (newestMadeAt ?? NaN) / 1000,
      swingsnap_size_bytes: size,
      swingsnap_freed_bytes: freed,
    };
    for (const [metric, value] of Object.entries(known)) {
      if (value !== undefined && Number.isFinite(value)) own.set(metric, value);
    }
    const text = Buffer.from(await this.#format(commands));
    await publishFile(
      this.#path,
      async (file) => {
        // The umask of a service is often stricter.
        await file.chmod(MODE);
        await writeFully(file, text);
      },
      // node_exporter also reads names that begin with a dot.
      'metrics',
    );
  }

  async #format(commands: ReadonlyMap<string, Values>): Promise<string> {
    const { Gauge, Registry } = this.#prometheus;
    const registry = new Registry();
    // Several files may hold the same command, and a collector refuses two samples with the same labels.
    const name = basename(this.#path, EXTENSION);
    for (const [metric, help] of Object.entries(METRICS)) {
      const samples = [...commands].flatMap(([command, values]) => {
        const value = values.get(metric);
        return value === undefined ? [] : [{ command, value }];
      });
      if (samples.length === 0) continue;
      const labelNames = ['command', 'name'];
      const gauge = new Gauge({ name: metric, help, labelNames, registers: [registry] });
      for (const { command, value } of samples) gauge.set({ command, name }, value);
    }
    return registry.metrics();
  }

  /** @throws {StorageError} `METRICS_FILE` if what is there is not a file of this program */
  async #earlier(): Promise<Map<string, Values>> {
    let file: SourceFile;
    try {
      file = SourceFile.open(this.#path, constants.O_NOFOLLOW);
    } catch (error) {
      if (isMissing(error)) return new Map();
      if (systemCode(error) === 'ELOOP') throw this.#foreign('a symbolic link');
      throw error;
    }
    try {
      if (!file.stats.isFile()) throw this.#foreign(kindOf(file.stats));
      if (file.stats.size > MAX_BYTES) throw this.#foreign(`${file.stats.size} bytes`);
      const text = (await file.readWhole()).toString();
      const earlier = readEarlier(text, Date.now() / 1000);
      if (earlier === undefined) throw this.#foreign('a file of another program');
      return earlier;
    } finally {
      file.close();
    }
  }

  #foreign(found: string): StorageError {
    return new StorageError('METRICS_FILE', 'something else is in the place of the metrics file', {
      path: this.#path,
      expected: 'nothing, or metrics that swingsnap wrote',
      found,
      hint: 'name another file with --metrics-file, or remove it',
    });
  }
}
