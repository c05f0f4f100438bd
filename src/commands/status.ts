import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import { exportDirOrStoreFlag, stateDirFlags } from '../cli/flags/flags.ts';
import { locateHome, locateStateDir, namedSource } from '../cli/flags/locations.ts';
import { formatBytes, formatDuration, formatOf, formatRate } from '../cli/text/format.ts';
import { shellQuote } from '../io/shell-quote.ts';
import { describeProcess } from '../operation/lock/lock.ts';
import type { OperationProgress } from '../operation/lock/notice.ts';
import { describePairing } from '../operation/pairing/pairing.ts';
import { status, type OperationStatus } from '../operation/status.ts';

export default class Status extends BaseCommand<typeof Status, OperationStatus> {
  static override summary = 'Show which operation is in progress, how far it is, and how fast.';

  static override description = withExitCodes(
    'Looks at an export directory (--export-dir) or at a store (--state-dir, --home; by default the store of ~/.agoric). ' +
      'The kernel tells whether an operation is alive, so the record of a dead operation is never shown as running.',
    ['verification', 'busy', 'timeout'],
  );

  static override usage =
    '<%= command.id %> [--export-dir DIR | --home DIR | --state-dir DIR] [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export',
    '<%= config.bin %> <%= command.id %> --home ~/.agoric --json',
  ];

  static override flags = { 'export-dir': exportDirOrStoreFlag, ...stateDirFlags };

  protected async execute(): Promise<OperationStatus> {
    const source = namedSource(this.flags);
    if (source?.kind === 'export-directory') return status({ exportDir: source.path });
    const stateDir = source?.stateDir ?? locateStateDir(this.flags);
    return status({ stateDir, home: locateHome(this.flags), note: this.progress.note });
  }

  protected render(found: OperationStatus): string[] {
    const { state, progress, failure, walBytes, multistore } = found;
    const pairing =
      multistore === undefined ? [] : [`  multistore: ${describePairing(multistore)}`];
    if (state === 'none') return ['nothing is in progress', ...pairing];
    return [
      headline(found),
      ...(progress === undefined || state === 'done' ? [] : [`  ${describe(progress)}`]),
      ...(failure === undefined ? [] : [`  its record says: ${failure.code}: ${failure.message}`]),
      ...(walBytes === undefined ? [] : [`  -wal of the store: ${formatBytes(walBytes)}`]),
      ...pairing,
      ...next(found),
    ];
  }
}

function headline({
  state,
  operation,
  height,
  awaitedHeight,
  ...process
}: OperationStatus): string {
  const at = height ?? awaitedHeight;
  const what = `${operation ?? 'operation'}${at === undefined ? '' : ` of height ${at}`}`;
  return `${state}: ${what}, ${describeProcess(process)}`;
}

/** Without `percent`, an earlier version has written it, or the size of the operation is not known. */
function describe(progress: OperationProgress): string {
  const { phase, bytes, totalBytes, elapsed, percent, timeLeft } = progress;
  const parts = [
    ...(percent === undefined ? [] : [`${percent}%`]),
    ...(timeLeft === undefined ? [] : [`${formatDuration(timeLeft)} left`]),
    `${phase}: ${formatOf(bytes, totalBytes, formatBytes)}`,
    ...(elapsed > 0 ? [formatRate(bytes, elapsed)] : []),
    formatDuration(elapsed),
  ];
  return parts.join(', ');
}

function next({ state, exportDir }: OperationStatus): string[] {
  if (exportDir === undefined) return [];
  const dir = shellQuote(exportDir);
  switch (state) {
    case 'failed':
    case 'dead':
      return [`next: run the export again, or swingsnap discard --export-dir ${dir}`];
    case 'done':
      return [`next: swingsnap retrieve --export-dir ${dir} --snapshot-dir <dir>`];
    case 'running':
    case 'waiting':
      return [`to end it: swingsnap discard --export-dir ${dir}`];
    case 'none':
      return [];
  }
}
