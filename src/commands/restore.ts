import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import {
  checkFlag,
  DESTINATION,
  PROOF,
  concurrencyFlag,
  gzipLevelFlag,
  heightFlag,
  metricsFileFlag,
  requireProofFlag,
  restoreModeFlag,
  scratchDirFlag,
  sourceArg,
  destinationFlags,
  trustFlags,
  expectFlag,
} from '../cli/flags/flags.ts';
import { chooseDestination, locateHome, locateStateDir } from '../cli/flags/locations.ts';
import { leaveModuleFlag, moduleFlag, placesOf } from '../cli/flags/module-flag.ts';
import { renderChecks, type CheckResult, renderModules, proofLine } from '../cli/report.ts';
import { formatBytes } from '../cli/text/format.ts';
import { shellQuote } from '../io/shell-quote.ts';
import { describePairing, type Pairing } from '../operation/pairing/pairing.ts';
import type { Proof } from '../operation/proof.ts';
import { checkRestore, restore, type RestoredModule } from '../operation/restore/restore.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';

interface RestoreResult extends ExportSummary {
  readonly source: string;
  readonly form: string;
  readonly stateDir: string;
  /** Bytes of the database file. */
  readonly databaseSize: number;
  readonly proved: Proof;
  readonly heightProved: boolean;
  /** The modules that were restored or only verified. */
  readonly modules: readonly RestoredModule[];
  /** Only with --home, if a multistore is there. */
  readonly multistore?: Pairing;
  /**
   * If there was an old store: where it is now, and the command that brings it back. If its database was a link, only
   * that was moved, and the database is still where it led to.
   */
  readonly replaced?: {
    readonly movedTo: string;
    readonly linkedTo?: string;
    readonly undo: string;
  };
}

export default class Restore extends BaseCommand<typeof Restore, RestoreResult | CheckResult> {
  static override summary =
    'Build a SwingStore from a snapshot, an export directory or a state-sync snapshot.';

  static override description = withExitCodes(
    'The restored store belongs beside a Cosmos multistore of exactly the same height. Get one by state-sync or ' +
      'from a file-system snapshot of that height, and never roll back priv_validator_state.json. ' +
      'With --home (or AGORIC_HOME), the store goes to data/agoric of a home that exists; without it, name the directory for it with --state-dir. ' +
      'The store is built in a work directory, every byte is verified as it is written, and the store appears only when it is complete.',
    ['timeout'],
  );

  static override usage = '<%= command.id %> SOURCE (--home DIR | --state-dir DIR) [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> /backup/snapshots --home ~/.agoric',
    '<%= config.bin %> <%= command.id %> /backup/snapshots/20000000 --state-dir /data/agoric --expect <contentHash>',
  ];

  static override args = { source: sourceArg };

  static override flags = {
    ...destinationFlags,
    module: moduleFlag(),
    'leave-module': leaveModuleFlag,
    'artifact-mode': restoreModeFlag({
      summary:
        'Which artifacts the store must contain. [default: those of the source, else operational]',
    }),
    height: heightFlag,
    expect: expectFlag,
    ...trustFlags,
    replace: Flags.boolean({
      helpGroup: DESTINATION,
      summary: 'Move an existing store aside, and print the command that brings it back.',
    }),
    unpaired: Flags.boolean({
      helpGroup: DESTINATION,
      summary: 'Restore even if the multistore in the home is of another height.',
    }),
    'require-proof': requireProofFlag,
    paranoid: Flags.boolean({
      helpGroup: PROOF,
      summary: 'Read the new store again before installing it.',
    }),
    'scratch-dir': scratchDirFlag,
    'gzip-level': gzipLevelFlag,
    concurrency: concurrencyFlag,
    check: checkFlag,
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<RestoreResult | CheckResult> {
    const { flags, progress, signal } = this;
    const { stateDir, home } = chooseDestination(flags, this.args.source);
    const options = {
      source: this.args.source,
      stateDir,
      home,
      modules: placesOf(flags.module, home, 'install'),
      leaveModules: flags['leave-module'],
      artifactMode: flags['artifact-mode'],
      height: flags.height,
      expect: flags.expect,
      appHash: flags['app-hash'],
      memStores: flags['mem-store'],
      replace: flags.replace,
      unpaired: flags.unpaired,
      requireProof: flags['require-proof'],
      paranoid: flags.paranoid,
      scratchDir: flags['scratch-dir'],
      gzipLevel: flags['gzip-level'],
      concurrency: flags.concurrency,
      progress,
      signal,
    };
    if (flags.check) return { checked: await checkRestore(options) };
    const { store, summary, multistore, ...restored } = await restore(options);
    const pairing = multistore === undefined ? {} : { multistore };
    const { movedTo, linkedTo, size: databaseSize } = store;
    this.measure({ height: summary.height, size: databaseSize });
    const link = linkedTo === undefined ? {} : { linkedTo };
    const replaced =
      movedTo === undefined
        ? {}
        : { replaced: { movedTo, ...link, undo: undo(stateDir, movedTo) } };
    return { ...restored, stateDir, databaseSize, ...summary, ...pairing, ...replaced };
  }

  protected render(result: RestoreResult | CheckResult): string[] {
    if ('checked' in result) return renderChecks(result);
    const { height, artifactMode, exportData, artifacts, hashes, replaced } = result;
    return [
      `restored height ${height} (${artifactMode}) to ${result.stateDir}`,
      `  export data  ${exportData.entries} entries, ${formatBytes(exportData.size)}`,
      `  artifacts    ${artifacts.count}, ${formatBytes(artifacts.size)}`,
      `  database     ${formatBytes(result.databaseSize)}`,
      ...(hashes?.contentHash === undefined ? [] : [`  contentHash  ${hashes.contentHash}`]),
      ...renderModules(result.modules, 'restored'),
      ...renderOwners(result.modules),
      ...(result.multistore === undefined
        ? []
        : [`  multistore   ${describePairing(result.multistore)}`]),
      ...(replaced === undefined
        ? []
        : [
            `the old store is in ${replaced.movedTo}`,
            ...(replaced.linkedTo === undefined
              ? []
              : [`its database was a link, and stays at ${replaced.linkedTo}`]),
            `to undo: ${replaced.undo}`,
          ]),
      `next: ${this.#verifyCommand(result.source)}`,
      proofLine(result.proved, result),
      `this store belongs beside a Cosmos multistore of exactly height ${height}`,
    ];
  }

  /** Verifies what was restored, by the same hashes and in the same places. */
  #verifyCommand(source: string): string {
    const { module: modules = [], expect, 'app-hash': appHash, ...flags } = this.flags;
    const home = locateHome(flags);
    const words = [
      ...['swingsnap', 'verify', source],
      ...(home === undefined ? ['--state-dir', locateStateDir(flags)] : ['--home', home]),
      ...modules.flatMap(({ name, kind, dir }) => ['--module', `${name}=${kind}:${dir}`]),
      ...(expect === undefined ? [] : ['--expect', expect]),
      ...(appHash === undefined ? [] : ['--app-hash', appHash]),
      ...(flags['mem-store'] ?? []).flatMap((name) => ['--mem-store', name]),
    ];
    return words.map(shellQuote).join(' ');
  }
}

/** What root has made: one line for each owner. Other users own what they make. */
function renderOwners(modules: readonly RestoredModule[]): string[] {
  if (process.geteuid?.() !== 0) return [];
  const owned = new Map<string, string[]>();
  for (const { name, owner } of modules) {
    if (owner === undefined) continue;
    const text = `user ${owner.uid}, group ${owner.gid}`;
    owned.set(text, [...(owned.get(text) ?? []), name]);
  }
  return [...owned].map(([text, names]) => `  owner        ${text}: ${names.join(', ')}`);
}

function undo(stateDir: string, movedTo: string): string {
  const [to, from] = [stateDir, movedTo].map(shellQuote);
  return `rm ${to ?? ''}/swingstore.sqlite* && mv ${from ?? ''}/swingstore.sqlite* ${to ?? ''}/ && rmdir ${from ?? ''}`;
}
