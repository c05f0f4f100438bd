import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import { duration, metricsFileFlag, OUTPUT, placeArg, TIMING } from '../cli/flags/flags.ts';
import { choosePlace } from '../cli/flags/locations.ts';
import { hashColumn, renderHeights, renderOthers } from '../cli/place-report.ts';
import { listPlace, refuseTooOld, type Listed } from '../operation/place/list.ts';

export default class List extends BaseCommand<typeof List, Listed> {
  static override summary = 'List the snapshots in a snapshot dir, and what is there besides.';

  static override description = withExitCodes(
    'Lists every whole snapshot: its manifest and its list are right, and every chunk is there with its size. ' +
      'OWN is what removing that height alone would free. Then lists what is there but is no whole snapshot, with the reason. ' +
      'Reads no chunk: verify does. With --max-age it fails if the newest whole snapshot is older, or there is none.',
    ['verification', 'busy'],
  );

  static override usage = '<%= command.id %> [PLACE] [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> /backup/snapshots',
    '<%= config.bin %> <%= command.id %> /backup/snapshots --max-age 26h --quiet',
  ];

  static override args = { place: placeArg };

  static override flags = {
    'max-age': duration({
      helpGroup: TIMING,
      summary: 'Fail (exit 7) if the newest whole snapshot is older than this, or there is none.',
    }),
    long: Flags.boolean({
      char: 'l',
      helpGroup: OUTPUT,
      summary: 'Print content hashes whole.',
    }),
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<Listed> {
    const { args, flags, progress, signal } = this;
    const snapshotDir = await choosePlace(args.place);
    const listed = await listPlace({ snapshotDir, progress, signal });
    const [newest] = listed.heights;
    if (newest !== undefined) {
      const { height, madeAt } = newest;
      this.measure({ height, newestMadeAt: Date.parse(madeAt) });
    }
    if (flags['max-age'] !== undefined) refuseTooOld(listed, flags['max-age']);
    return listed;
  }

  protected render(listed: Listed): string[] {
    const { place, chainId, heights } = listed;
    const chain = chainId === undefined ? '' : `, chain ${chainId}`;
    return [
      `${place}${chain}`,
      ...renderHeights(heights, hashColumn(this.flags.long)),
      ...renderOthers(listed),
    ];
  }
}
