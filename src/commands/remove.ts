import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import { DESTINATION, metricsFileFlag, snapshotsArg } from '../cli/flags/flags.ts';
import { formatBytes } from '../cli/text/format.ts';
import { removeSnapshots, type Removed } from '../operation/place/remove.ts';

export default class Remove extends BaseCommand<typeof Remove, Removed> {
  static override summary = 'Remove these snapshots.';

  static override description = withExitCodes(
    'Removes snapshots, whole or damaged, that are named as <snapshot dir>/<height>. ' +
      'All are looked at before the first is removed: if one is something else, nothing is. ' +
      'A reader of a removed snapshot ends with a clear error. What other heights share stays.',
    ['verification', 'busy', 'timeout'],
  );

  static override usage = '<%= command.id %> SNAPSHOT... [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> /backup/snapshots/20000000',
    '<%= config.bin %> <%= command.id %> /backup/snapshots/20000000 /backup/snapshots/20001000 --dry-run',
  ];

  static override args = { snapshots: snapshotsArg };

  static override flags = {
    'dry-run': Flags.boolean({
      helpGroup: DESTINATION,
      summary: 'Show what would be removed. Removes nothing.',
    }),
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<Removed> {
    const { args, flags, progress, signal } = this;
    const removed = await removeSnapshots({
      snapshots: args.snapshots,
      dryRun: flags['dry-run'],
      progress,
      signal,
    });
    this.measure({ freed: removed.freed });
    return removed;
  }

  protected render({ dryRun, removed, freed }: Removed): string[] {
    const verb = dryRun ? 'would remove' : 'removed';
    return [
      ...removed.map(({ path, state }) => `${verb}: ${path} (${state})`),
      `${formatBytes(freed)} ${dryRun ? 'would be free' : 'freed'}`,
    ];
  }
}
