import { resolve } from 'node:path';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import { exportDirFlag } from '../cli/flags/flags.ts';
import { discard, type Discarded } from '../operation/discard.ts';

interface DiscardResult extends Discarded {
  readonly exportDir: string;
}

export default class Discard extends BaseCommand<typeof Discard, DiscardResult> {
  static override summary = 'End an export that is no longer wanted, and remove its files.';

  static override description = withExitCodes(
    'Ends an export in progress and waits until its process has exited. Removes only the files that the export lists, then the directory if it is empty. ' +
      'Succeeds if it is run again or if there is nothing to remove.',
  );

  static override examples = ['<%= config.bin %> <%= command.id %> --export-dir /backup/export'];

  static override flags = { 'export-dir': exportDirFlag };

  protected async execute(): Promise<DiscardResult> {
    const exportDir = resolve(this.flags['export-dir']);
    return { exportDir, ...(await discard(exportDir, { signal: this.signal })) };
  }

  protected render({ exportDir, ended, files, gone, left }: DiscardResult): string[] {
    if (!ended && files === 0 && gone) return [`nothing at ${exportDir}`];
    return [
      ...(ended ? ['ended the export in progress'] : []),
      `removed ${files} files${gone ? ' and the directory' : ''}: ${exportDir}`,
      ...(left.length === 0 ? [] : [`left in place, not part of the export: ${left.join(', ')}`]),
    ];
  }
}
