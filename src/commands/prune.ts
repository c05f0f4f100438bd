import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import { DESTINATION, duration, metricsFileFlag, placeArg, TIMING } from '../cli/flags/flags.ts';
import { keepFlags, keepRules } from '../cli/flags/keep-flags.ts';
import { choosePlace } from '../cli/flags/locations.ts';
import { renderHeights, renderOthers } from '../cli/place-report.ts';
import { formatBytes } from '../cli/text/format.ts';
import { prune, type Pruned } from '../operation/place/prune.ts';

export default class Prune extends BaseCommand<typeof Prune, Pruned> {
  static override summary = 'Remove the snapshots of a snapshot dir that no rule keeps.';

  static override description = withExitCodes(
    'Keeps what any --keep rule keeps, as restic forget reads them, by the time when a snapshot was made (UTC). ' +
      'Without any rule it refuses. The highest snapshot always stays, and so does one from the future. ' +
      'Counts and removes only whole snapshots, and half-made ones whose process has ended (--stale). ' +
      'What is damaged or foreign is listed, and stays.',
    ['verification', 'busy'],
  );

  static override usage = '<%= command.id %> [PLACE] --keep-... [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> /backup/snapshots --keep-last 3 --keep-daily 7 --keep-weekly 5 --dry-run',
    '<%= config.bin %> <%= command.id %> /backup/snapshots --keep-within 30d --keep-monthly 12',
  ];

  static override args = { place: placeArg };

  static override flags = {
    ...keepFlags,
    stale: duration({
      helpGroup: TIMING,
      summary:
        'Remove what a dead process left half-made if nothing in it changed for this time. [default: 2d]',
    }),
    'dry-run': Flags.boolean({
      helpGroup: DESTINATION,
      summary: 'Show what would be removed, and why the others stay. Removes nothing.',
    }),
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<Pruned> {
    const { args, flags, progress, signal } = this;
    const pruned = await prune({
      snapshotDir: await choosePlace(args.place),
      rules: keepRules(flags),
      dryRun: flags['dry-run'],
      stale: flags.stale,
      progress,
      signal,
    });
    const newest = pruned.heights.find(({ isKept }) => isKept);
    const madeAt = newest && Date.parse(newest.madeAt);
    this.measure({ height: newest?.height, newestMadeAt: madeAt, freed: pruned.freed });
    return pruned;
  }

  protected render(pruned: Pruned): string[] {
    const { place, dryRun, heights, leftovers, freed } = pruned;
    const removed = dryRun ? 'would be removed' : 'removed';
    const gone = heights.filter(({ isKept }) => !isKept).length;
    return [
      place,
      ...renderHeights(heights, {
        head: 'WHY',
        of: ({ isKept, reasons }) => (isKept ? `kept: ${reasons.join(', ')}` : removed),
      }),
      ...leftovers.map(
        ({ name, size }) => `half-made ${JSON.stringify(name)}, ${formatBytes(size)}: ${removed}`,
      ),
      ...renderOthers(pruned),
      `${gone} of ${heights.length} snapshots ${removed}, ${formatBytes(freed)} ${dryRun ? 'would be free' : 'freed'}`,
    ];
  }
}
