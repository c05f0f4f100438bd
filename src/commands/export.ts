import { resolve } from 'node:path';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { renderChecks, type CheckResult } from '../cli/checks.ts';
import { withExitCodes } from '../cli/exit-codes.ts';
import {
  artifactModeFlag,
  checkFlag,
  concurrencyFlag,
  exportDirFlag,
  heightFlag,
  scratchDirFlag,
  stateDirFlags,
  storeView,
  storeViewFlags,
} from '../cli/flags.ts';
import { formatBytes } from '../cli/format.ts';
import { locateStateDir } from '../cli/locations.ts';
import { shellQuote } from '../cli/shell-quote.ts';
import { checkExport } from '../operation/export-store.ts';
import { runExport, startDetachedExport, type StartedExport } from '../operation/start-export.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';

interface ExportResult extends ExportSummary {
  readonly exportDir: string;
  readonly stateDir: string;
}

/** With --detach: the export goes on in its own process. */
interface StartedResult extends StartedExport {
  readonly started: true;
  readonly exportDir: string;
  readonly stateDir: string;
}

type Result = ExportResult | StartedResult | CheckResult;

export default class Export extends BaseCommand<typeof Export, Result> {
  static override summary = 'Export a SwingStore into a directory, while its node runs.';

  static override description = withExitCodes(
    'Writes what the node itself would export (export-manifest.json, export-data.jsonl, one file per artifact) ' +
      'as of the last commit. The store is only read. If anything fails, the export directory is as it was.',
  );

  static override examples = [
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export',
    '<%= config.bin %> <%= command.id %> --home ~/.agoric --export-dir /backup/export --artifact-mode archival',
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export --detach',
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export --every 1000 --timeout 2h',
  ];

  static override flags = {
    'export-dir': exportDirFlag,
    ...stateDirFlags,
    height: heightFlag,
    'artifact-mode': artifactModeFlag({ default: 'operational' }),
    'export-data-mode': Flags.option({
      summary: 'Whether the export data is written, or artifacts only.',
      options: ['all', 'skip'] as const,
      default: 'all',
    })(),
    detach: Flags.boolean({
      summary: 'Return once the view of the store is pinned; the export goes on in the background.',
      default: false,
    }),
    ...storeViewFlags,
    'scratch-dir': scratchDirFlag,
    concurrency: concurrencyFlag,
    check: checkFlag,
  };

  protected async execute(): Promise<Result> {
    const { flags, progress, signal } = this;
    const stateDir = locateStateDir(flags);
    const exportDir = resolve(flags['export-dir']);
    const scratchDir = flags['scratch-dir'];
    const request = {
      stateDir,
      exportDir,
      height: flags.height,
      artifactMode: flags['artifact-mode'],
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
    return { exportDir, stateDir, ...(await runExport({ request, progress, signal })) };
  }

  protected render(result: Result): string[] {
    if ('checked' in result) return renderChecks(result);
    if ('started' in result) return renderStarted(result);
    const { height, artifactMode, exportDir, exportData, artifacts } = result;
    const dir = shellQuote(exportDir);
    return [
      `exported height ${String(height)} (${artifactMode}) to ${exportDir}`,
      `  export data  ${String(exportData.entries)} entries, ${formatBytes(exportData.size)}`,
      `  artifacts    ${String(artifacts.count)}, ${formatBytes(artifacts.size)}`,
      `next: swingsnap retrieve --export-dir ${dir} --snapshot-dir <dir>, or swingsnap discard --export-dir ${dir}`,
    ];
  }
}

function renderStarted({ height, pid, exportDir }: StartedResult): string[] {
  const dir = shellQuote(exportDir);
  return [
    `started: height ${String(height)} is pinned, and the node may go on; process ${String(pid)} exports to ${exportDir}`,
    `how far it is:   swingsnap status --export-dir ${dir}`,
    `when it is done: swingsnap retrieve --export-dir ${dir} --snapshot-dir <dir>`,
    `to end it:       swingsnap discard --export-dir ${dir}`,
  ];
}
