import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import { metricsFileFlag, silentDirectory, SOURCE, stateDirFlags } from '../cli/flags/flags.ts';
import { namedSource, type Source } from '../cli/flags/locations.ts';
import { UsageError } from '../errors.ts';
import {
  discard,
  discardExportOf,
  type DiscardOptions,
  type Discarded,
} from '../operation/discard.ts';

interface DiscardResult extends Discarded {
  /** Unknown if a store was named on which no operation is in progress. */
  readonly exportDir?: string;
}

export default class Discard extends BaseCommand<typeof Discard, DiscardResult> {
  static override summary = 'End an export that is no longer wanted, and remove its files.';

  static override description = withExitCodes(
    'Ends an export in progress and waits until its process has exited, which is killed if it does not stop. Removes only the files that the export lists, then the directory if it is empty. ' +
      'With --state-dir or --home it ends the export that is in progress on that store, wherever its directory is. ' +
      'Succeeds if it is run again or if there is nothing to remove.',
    ['notFound'],
  );

  static override usage =
    '<%= command.id %> (--export-dir DIR | --home DIR | --state-dir DIR) [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export',
    '<%= config.bin %> <%= command.id %> --home ~/.agoric',
  ];

  static override flags = {
    'export-dir': silentDirectory({
      char: 'e',
      helpGroup: SOURCE,
      summary: 'Export directory. [env: SWINGSNAP_EXPORT_DIR]',
      exclusive: ['state-dir', 'home'],
      helpValue: 'DIR',
    }),
    ...stateDirFlags,
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<DiscardResult> {
    const source = namedSource(this.flags);
    if (source === undefined) {
      throw new UsageError('USAGE', 'no export is named', {
        hint: 'give --export-dir E, or --home or --state-dir of the store whose export is in progress',
      });
    }
    const options = { signal: this.signal };
    const discarded = await this.#discard(source, options);
    this.measure({ freed: discarded.size });
    return discarded;
  }

  async #discard(source: Source, options: DiscardOptions): Promise<DiscardResult> {
    if (source.kind === 'export-directory') {
      return { exportDir: source.path, ...(await discard(source.path, options)) };
    }
    const nothing = { ended: false, files: 0, size: 0, gone: true, left: [] };
    return (await discardExportOf(source.stateDir, options)) ?? nothing;
  }

  protected render({ exportDir, ended, files, gone, left }: DiscardResult): string[] {
    if (exportDir === undefined) return ['nothing is in progress'];
    if (!ended && files === 0 && gone) return [`nothing at ${exportDir}`];
    return [
      ...(ended ? ['ended the export in progress'] : []),
      `removed ${files} files${gone ? ' and the directory' : ''}: ${exportDir}`,
      ...(left.length === 0 ? [] : [`left in place, not part of the export: ${left.join(', ')}`]),
    ];
  }
}
