import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import {
  checkFlag,
  concurrencyFlag,
  DESTINATION,
  metricsFileFlag,
  parseAnswering,
  scratchDirFlag,
  SOURCE,
  wholeNumber,
} from '../cli/flags/flags.ts';
import { keepFlags, keepRules } from '../cli/flags/keep-flags.ts';
import { renderChecks, type CheckResult } from '../cli/report.ts';
import { formatBytes } from '../cli/text/format.ts';
import { shellQuote } from '../io/shell-quote.ts';
import {
  checkCopy,
  copy,
  type CopiedSnapshots,
  type CopiedHeight,
} from '../operation/copy/copy.ts';
import { hasRule } from '../operation/place/rules.ts';

type Result = CopiedSnapshots | CheckResult;

export default class Copy extends BaseCommand<typeof Copy, Result> {
  static override summary = 'Copy snapshots into another snapshot dir.';

  static override description = withExitCodes(
    'Copies the newest snapshot of SOURCE, or those that --height, --all or --since name, the newest first. ' +
      'Reads only chunks that PLACE does not have, and hashes every file on its way. On one file system, files of your ' +
      'own are linked. A height that is there already is skipped. If it is stopped, the same command goes on where it ' +
      'was. With --keep rules PLACE becomes a mirror: what they drop of both is not copied, and is removed from PLACE. ' +
      'It does not unpack anything: that is the work of verify.',
    ['timeout', 'busy'],
  );

  static override usage = '<%= command.id %> SOURCE PLACE [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> /backup/snapshots /mnt/disk/snapshots --create',
    '<%= config.bin %> <%= command.id %> /backup/snapshots /mnt/disk/snapshots --all',
    '<%= config.bin %> <%= command.id %> /backup/snapshots /mnt/disk/snapshots --keep-daily 7 --keep-weekly 5',
    '<%= config.bin %> <%= command.id %> /backup/snapshots/20000000 /mnt/disk/snapshots',
  ];

  static override args = {
    source: Args.string({
      name: 'source',
      description: 'A snapshot, or a directory of snapshots. It is not changed.',
      required: true,
      ignoreStdin: true,
      parse: parseAnswering,
    }),
    place: Args.string({
      name: 'place',
      description: 'Directory that holds the snapshots, one directory per height.',
      required: true,
      ignoreStdin: true,
      parse: parseAnswering,
    }),
  };

  static override flags = {
    height: wholeNumber({
      char: 'n',
      helpGroup: SOURCE,
      summary: 'Block height to copy; may be repeated. [default: the highest]',
      helpValue: 'N',
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ['all', 'since'],
    }),
    all: Flags.boolean({
      helpGroup: SOURCE,
      summary: 'Copy all heights.',
      exclusive: ['since'],
    }),
    since: wholeNumber({
      helpGroup: SOURCE,
      summary: 'Copy this height and all above it.',
      helpValue: 'N',
    }),
    create: Flags.boolean({
      helpGroup: DESTINATION,
      summary:
        'Begin with a new snapshot dir; the directory above it must exist. Without it, PLACE must be one already.',
    }),
    replace: Flags.boolean({
      helpGroup: DESTINATION,
      summary: 'Replace other snapshots of the same heights.',
    }),
    ...keepFlags,
    'scratch-dir': scratchDirFlag,
    concurrency: concurrencyFlag,
    check: checkFlag,
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<Result> {
    const { args, flags, progress, signal } = this;
    const keep = keepRules(flags);
    const isMirror = hasRule(keep);
    if (isMirror) this.refuseFlags(['height'], 'single heights', 'the rules choose the heights');
    const options = {
      source: args.source,
      snapshotDir: args.place,
      heights: flags.height,
      all: flags.all || (isMirror && flags.since === undefined),
      since: flags.since,
      create: flags.create,
      replace: flags.replace,
      keep,
      scratchDir: flags['scratch-dir'],
      concurrency: flags.concurrency,
      progress,
      signal,
    };
    if (flags.check) return { checked: await checkCopy(options) };
    const copied = await copy(options);
    const [highest] = copied.heights;
    this.measure({ height: highest?.height, size: highest?.chunks.size });
    return copied;
  }

  protected render(result: Result): string[] {
    if ('checked' in result) return renderChecks(result);
    const { heights, source, place, removedHeights } = result;
    const written = heights.filter((each) => each.written);
    const there = heights.length - written.length;
    const [first] = written;
    return [
      ...written.flatMap(renderHeight),
      ...removedHeights.map((height) => `removed the snapshot of height ${height}`),
      `${written.length} snapshots copied, ${there} there already: ${source} to ${place}`,
      ...(first === undefined ? [] : [`next: swingsnap verify ${shellQuote(first.path)}`]),
    ];
  }
}

function renderHeight({ height, path, contentHash, from }: CopiedHeight): string[] {
  if (from === undefined) return [];
  const origins = [
    ['copied', from.copied],
    ['linked', from.linked],
    ['there already', from.shared],
  ] as const;
  const chunks = origins
    .filter(([, { chunks }]) => chunks > 0)
    .map(([origin, { chunks, size }]) => `${chunks} ${origin} (${formatBytes(size)})`);
  return [
    `snapshot of height ${height}: ${path}`,
    `  chunks           ${chunks.join(', ')}`,
    `  contentHash      ${contentHash}`,
  ];
}
