import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { renderChecks, type CheckResult } from '../cli/checks.ts';
import { withExitCodes } from '../cli/exit-codes.ts';
import {
  artifactModeFlag,
  checkFlag,
  exportDirFlag,
  heightFlag,
  scratchDirFlag,
  stateDirFlags,
} from '../cli/flags.ts';
import { formatBytes } from '../cli/format.ts';
import { locateStateDir } from '../cli/locations.ts';
import { shellQuote } from '../cli/shell-quote.ts';
import { checkExport, exportStore } from '../operation/export-store.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';

interface ExportResult extends ExportSummary {
  readonly exportDir: string;
  readonly stateDir: string;
}

export default class Export extends BaseCommand<typeof Export, ExportResult | CheckResult> {
  static override summary = 'Export a SwingStore into a directory, while its node runs.';

  static override description = withExitCodes(
    'Writes what the node itself would export (export-manifest.json, export-data.jsonl, one file per artifact) ' +
      'as of the last commit. The store is only read. If anything fails, the export directory is as it was.',
  );

  static override examples = [
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export',
    '<%= config.bin %> <%= command.id %> --home ~/.agoric --export-dir /backup/export --artifact-mode archival',
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
    'scratch-dir': scratchDirFlag,
    check: checkFlag,
  };

  protected async execute(): Promise<ExportResult | CheckResult> {
    const { flags, progress, signal } = this;
    const stateDir = locateStateDir(flags);
    const exportDir = flags['export-dir'];
    const options = {
      stateDir,
      exportDir,
      height: flags.height,
      artifactMode: flags['artifact-mode'],
      withExportData: flags['export-data-mode'] === 'all',
      scratchDir: flags['scratch-dir'],
      progress,
      signal,
    };
    if (flags.check) return { checked: await checkExport(options) };
    return { exportDir, stateDir, ...(await exportStore(options)) };
  }

  protected render(result: ExportResult | CheckResult): string[] {
    if ('checked' in result) return renderChecks(result);
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
