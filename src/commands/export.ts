import { resolve } from 'node:path';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import {
  artifactModeFlag,
  expectFlag,
  DESTINATION,
  TIMING,
  checkFlag,
  concurrencyFlag,
  exportDirFlag,
  exportFromFlag,
  heightFlag,
  metricsFileFlag,
  niceFlag,
  requireProofFlag,
  scratchDirFlag,
  stateDirFlags,
  storeView,
  storeViewFlags,
  trustFlags,
} from '../cli/flags/flags.ts';
import { locateStateDir } from '../cli/flags/locations.ts';
import { leaveModuleFlag } from '../cli/flags/module-flag.ts';
import { measuresOf, renderChecks, type CheckResult, renderProof } from '../cli/report.ts';
import { formatBytes } from '../cli/text/format.ts';
import { UsageError } from '../errors.ts';
import type { AppHashProof } from '../formats/state-sync/proof/app-hash.ts';
import { shellQuote } from '../io/shell-quote.ts';
import { lowerPriority } from '../io/threads/priority.ts';
import { checkExportFrom, exportFrom } from '../operation/export/export-from.ts';
import { checkExport } from '../operation/export/export-store.ts';
import {
  runExport,
  startDetachedExport,
  type StartedExport,
} from '../operation/export/start-export.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';

interface ExportResult extends ExportSummary {
  readonly exportDir: string;
  readonly stateDir: string;
}

/** With --detach: the export continues in its own process. */
interface StartedResult extends StartedExport {
  readonly started: true;
  readonly exportDir: string;
  readonly stateDir: string;
}

/** With --from. */
interface SourceResult extends ExportSummary {
  readonly exportDir: string;
  readonly source: string;
  readonly form: string;
  /** Only for a state-sync snapshot. */
  readonly appHash?: AppHashProof;
  readonly heightProved: boolean;
}

type Result = ExportResult | SourceResult | StartedResult | CheckResult;

const FROM_FLAGS = ['app-hash', 'mem-store', 'expect', 'require-proof', 'leave-module'] as const;
const STORE_FLAGS = ['detach', 'at-height', 'every', 'timeout', 'max-wal', 'max-time'] as const;

export default class Export extends BaseCommand<typeof Export, Result> {
  static override summary =
    'Export a SwingStore to a directory while its node runs, or convert a snapshot to an export directory.';

  static override description = withExitCodes(
    'Writes the files that the node itself would export (export-manifest.json, export-data.jsonl, one file per artifact) ' +
      'as of the last commit. The store is only read. If anything fails, the export directory is left as it was. ' +
      'With --from, the same files are written from a snapshot, another export directory or a state-sync snapshot. ' +
      'Every artifact is checked against the export data, and --app-hash or --expect checks the export data.',
  );

  static override usage =
    '<%= command.id %> --export-dir DIR [--home DIR | --state-dir DIR | --from SOURCE] [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export',
    '<%= config.bin %> <%= command.id %> --home ~/.agoric --export-dir /backup/export --artifact-mode archival',
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export --detach',
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export --every 1000 --timeout 2h',
    '<%= config.bin %> <%= command.id %> --from 20000000-3.tar.gz --app-hash <appHash> --export-dir /backup/export',
  ];

  static override flags = {
    'export-dir': exportDirFlag,
    ...stateDirFlags,
    from: exportFromFlag,
    'leave-module': leaveModuleFlag,
    expect: expectFlag,
    ...trustFlags,
    'require-proof': requireProofFlag,
    height: heightFlag,
    'artifact-mode': artifactModeFlag({
      summary:
        'Which artifacts the export contains. [default: operational; with --from, those of the source]',
    }),
    'export-data-mode': Flags.option({
      helpGroup: DESTINATION,
      summary: 'Write the export data, or only the artifacts.',
      options: ['all', 'skip'] as const,
      default: 'all',
    })(),
    detach: Flags.boolean({
      helpGroup: TIMING,
      summary:
        'Return once the view of the store is pinned; the export continues in the background.',
      default: false,
    }),
    ...storeViewFlags,
    'scratch-dir': scratchDirFlag,
    concurrency: concurrencyFlag,
    nice: niceFlag,
    check: checkFlag,
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<Result> {
    const { flags, progress, signal } = this;
    // The worker process inherits it.
    if (flags.from === undefined || flags.nice !== undefined) lowerPriority(flags.nice);
    if (flags.from !== undefined) return this.#exportFrom(flags.from);
    this.refuseFlags(FROM_FLAGS, '--from', 'the source is a store');
    const stateDir = locateStateDir(flags);
    const exportDir = resolve(flags['export-dir']);
    const scratchDir = flags['scratch-dir'];
    const request = {
      stateDir,
      exportDir,
      height: flags.height,
      artifactMode: flags['artifact-mode'] ?? 'operational',
      exportDataMode: flags['export-data-mode'],
      detached: flags.detach,
      concurrency: flags.concurrency,
      scratchDir: scratchDir === undefined ? undefined : resolve(scratchDir),
      ...storeView(flags),
    };
    if (flags.check) return { checked: await checkExport({ ...request, progress, signal }) };
    if (flags.detach) {
      const started = await startDetachedExport({ request, progress, signal });
      return { started: true, exportDir, stateDir, ...started };
    }
    const summary = await runExport({ request, progress, signal });
    this.measure(measuresOf(summary));
    return { exportDir, stateDir, ...summary };
  }

  async #exportFrom(source: string): Promise<SourceResult | CheckResult> {
    const { flags, progress, signal } = this;
    this.refuseFlags(STORE_FLAGS, 'a store', '--from is given');
    if (flags['export-data-mode'] === 'skip') {
      throw new UsageError(
        'USAGE',
        '--export-data-mode skip applies to a store, but --from is given',
        {
          hint: 'swingsnap export --help',
        },
      );
    }
    const options = {
      source,
      exportDir: resolve(flags['export-dir']),
      artifactMode: flags['artifact-mode'],
      height: flags.height,
      appHash: flags['app-hash'],
      memStores: flags['mem-store'],
      expect: flags.expect,
      requireProof: flags['require-proof'],
      leaveModules: flags['leave-module'],
      scratchDir: flags['scratch-dir'],
      concurrency: flags.concurrency,
      progress,
      signal,
    };
    if (flags.check) return { checked: await checkExportFrom(options) };
    const { form, source: path, summary, proof } = await exportFrom(options);
    this.measure(measuresOf(summary));
    const { exportDir } = options;
    const appHash = proof === undefined ? {} : { appHash: proof };
    const heightProved = options.expect !== undefined;
    return { exportDir, source: path, form, ...summary, heightProved, ...appHash };
  }

  protected render(result: Result): string[] {
    if ('checked' in result) return renderChecks(result);
    if ('started' in result) return renderStarted(result);
    if ('source' in result) return renderSource(result);
    const { height, artifactMode, exportDir, exportData, artifacts } = result;
    const dir = shellQuote(exportDir);
    return [
      `exported height ${height} (${artifactMode}) to ${exportDir}`,
      `  export data  ${exportData.entries} entries, ${formatBytes(exportData.size)}`,
      `  artifacts    ${artifacts.count}, ${formatBytes(artifacts.size)}`,
      `next: swingsnap retrieve --export-dir ${dir} --snapshot-dir <dir>, or swingsnap discard --export-dir ${dir}`,
    ];
  }
}

function renderSource(result: SourceResult): string[] {
  const { height, artifactMode, appHash } = result;
  const { source, form, exportDir, exportData, artifacts, hashes } = result;
  return [
    `exported height ${height} (${artifactMode}) to ${exportDir}, from the ${form} ${source}`,
    `  export data      ${exportData.entries} entries, ${formatBytes(exportData.size)}`,
    `  artifacts        ${artifacts.count}, ${formatBytes(artifacts.size)}`,
    ...(hashes?.contentHash === undefined ? [] : [`  contentHash      ${hashes.contentHash}`]),
    `  operationalHash  ${hashes?.operationalHash ?? ''}`,
    ...(appHash === undefined ? [] : renderProof(appHash, result)),
    `next: swingsnap verify ${shellQuote(exportDir)}`,
  ];
}

function renderStarted({ height, pid, exportDir }: StartedResult): string[] {
  const dir = shellQuote(exportDir);
  return [
    `started: height ${height} is pinned, and the node can continue; process ${pid} exports to ${exportDir}`,
    `progress:        swingsnap status --export-dir ${dir}`,
    `when it is done: swingsnap retrieve --export-dir ${dir} --snapshot-dir <dir>`,
    `to end it:       swingsnap discard --export-dir ${dir}`,
  ];
}
