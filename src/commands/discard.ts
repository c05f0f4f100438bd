import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit-codes.ts';
import { exportDirFlag } from '../cli/flags.ts';
import { discardExport } from '../operation/discard-export.ts';

interface DiscardResult {
  readonly exportDir: string;
  /** Number of files that were removed. */
  readonly files: number;
  /** Whether the directory is gone. */
  readonly gone: boolean;
  /** What was not the export's and stays, at most ten names. */
  readonly left: readonly string[];
}

export default class Discard extends BaseCommand<typeof Discard, DiscardResult> {
  static override summary = 'Remove an export that nobody will retrieve.';

  static override description = withExitCodes(
    'Removes only the files that the export names, then the directory if nothing else is in it. ' +
      'Doing it again, or where nothing is, succeeds.',
  );

  static override examples = ['<%= config.bin %> <%= command.id %> --export-dir /backup/export'];

  static override flags = { 'export-dir': exportDirFlag };

  protected async execute(): Promise<DiscardResult> {
    const exportDir = this.flags['export-dir'];
    const removal = await discardExport(exportDir);
    return { exportDir, ...(removal ?? { files: 0, gone: true, left: [] }) };
  }

  protected render({ exportDir, files, gone, left }: DiscardResult): string[] {
    if (files === 0 && gone) return [`nothing at ${exportDir}`];
    const removed = `removed ${String(files)} files${gone ? ' and the directory' : ''}: ${exportDir}`;
    return left.length === 0 ? [removed] : [removed, `left, not ours: ${left.join(', ')}`];
  }
}
