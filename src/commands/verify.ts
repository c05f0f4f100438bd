import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import {
  artifactModeFlag,
  checkFlag,
  TUNING,
  concurrencyFlag,
  heightFlag,
  metricsFileFlag,
  requireProofFlag,
  scratchDirFlag,
  share,
  SOURCE,
  sourceArg,
  stateDirFlags,
  trustFlags,
  expectFlag,
} from '../cli/flags/flags.ts';
import { namedHome, namedStateDir } from '../cli/flags/locations.ts';
import { moduleFlag, placesOf } from '../cli/flags/module-flag.ts';
import {
  measuresOf,
  renderChecks,
  type CheckResult,
  renderModules,
  renderProof,
} from '../cli/report.ts';
import { formatBytes } from '../cli/text/format.ts';
import type { ByteCodes } from '../formats/state-sync/open.ts';
import type { AppHashProof } from '../formats/state-sync/proof/app-hash.ts';
import { shellQuote } from '../io/shell-quote.ts';
import { describePairing, type Pairing } from '../operation/pairing/pairing.ts';
import type { StoreComparison } from '../operation/verify/compare-with-store.ts';
import {
  verifyPlace,
  type HeightProof,
  type VerifiedPlace,
} from '../operation/verify/verify-place.ts';
import {
  checkVerify,
  quicklyVerify,
  verify,
  type QuicklyVerified,
} from '../operation/verify/verify.ts';
import type { ModuleResult } from '../source/receive.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';

interface FullResult extends ExportSummary {
  readonly source: string;
  readonly form: string;
  readonly quick: false;
  /** Only for a state-sync snapshot. */
  readonly appHash?: AppHashProof;
  readonly heightProved: boolean;
  /** Only for a state-sync snapshot with a store `wasm`. */
  readonly codes?: ByteCodes;
  /** Only with --state-dir or --home. */
  readonly store?: StoreComparison;
  /** Only with --home, if a multistore is there. */
  readonly multistore?: Pairing;
  /** The modules that were verified, or compared with their directories. */
  readonly modules: readonly ModuleResult[];
}

/** `--quick` trusts the manifest, so it proves no height, even with `--expect`. */
type QuickResult = QuicklyVerified & { readonly quick: true; readonly heightProved: false };

type Result = FullResult | QuickResult | VerifiedPlace | CheckResult;

/** Flags that mean one state, or what it is compared with. */
const ONE_STATE_FLAGS = [
  ...['state-dir', 'home', 'module', 'artifact-mode', 'expect', 'app-hash', 'mem-store'],
  ...['require-proof', 'quick', 'check'],
];

export default class Verify extends BaseCommand<typeof Verify, Result> {
  static override summary =
    'Prove that a snapshot or an export is complete and correct, and that a store holds it.';

  static override description = withExitCodes(
    'Checks everything: chunks, entries, records, artifacts, completeness and hashes. With --state-dir or --home it ' +
      'also compares the store there and names the first ten differences. It changes nothing.',
    ['timeout'],
  );

  static override usage = '<%= command.id %> SOURCE [--home DIR | --state-dir DIR] [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> /backup/snapshots',
    '<%= config.bin %> <%= command.id %> /backup/snapshots/20000000 --expect <contentHash>',
    '<%= config.bin %> <%= command.id %> /backup/snapshots/20000000 --state-dir /data/agoric',
    '<%= config.bin %> <%= command.id %> /backup/snapshots --quick',
    '<%= config.bin %> <%= command.id %> /backup/snapshots --all',
    '<%= config.bin %> <%= command.id %> /backup/snapshots --all --sample 5%',
  ];

  static override args = { source: sourceArg };

  static override flags = {
    ...stateDirFlags,
    module: moduleFlag({ exclusive: ['quick'] }),
    'artifact-mode': artifactModeFlag({
      summary: "Which artifacts must be present. [default: those of the source's mode]",
      exclusive: ['quick'],
    }),
    height: heightFlag,
    expect: expectFlag,
    ...trustFlags,
    'require-proof': requireProofFlag,
    quick: Flags.boolean({
      helpGroup: TUNING,
      summary: 'Only check that all chunks are present and have the right hash; proves nothing.',
      exclusive: ['state-dir', 'home', 'artifact-mode', 'require-proof'],
    }),
    all: Flags.boolean({
      helpGroup: SOURCE,
      summary:
        'Verify all heights of a snapshot dir. Files that several heights share are read once.',
      exclusive: [...ONE_STATE_FLAGS, 'height'],
    }),
    sample: share({
      helpGroup: TUNING,
      summary:
        'Check only a random part of the chunks, by their bytes, as 5%. Proves nothing of the rest.',
      exclusive: ONE_STATE_FLAGS,
    }),
    seed: Flags.string({
      helpGroup: TUNING,
      summary: 'Take the sample of an earlier run again. [default: random]',
      helpValue: 'SEED',
      dependsOn: ['sample'],
    }),
    'scratch-dir': scratchDirFlag,
    concurrency: concurrencyFlag,
    check: checkFlag,
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<Result> {
    const { flags, progress, signal } = this;
    if (flags.all || flags.sample !== undefined) return this.#verifyPlace();
    const options = {
      source: this.args.source,
      stateDir: namedStateDir(flags),
      home: namedHome(flags),
      modules: placesOf(flags.module, flags.home, 'install'),
      artifactMode: flags['artifact-mode'],
      height: flags.height,
      expect: flags.expect,
      appHash: flags['app-hash'],
      memStores: flags['mem-store'],
      requireProof: flags['require-proof'],
      scratchDir: flags['scratch-dir'],
      concurrency: flags.concurrency,
      progress,
      signal,
    };
    if (flags.check) return { checked: await checkVerify(options) };
    if (flags.quick) {
      const verified = await quicklyVerify(options);
      this.measure({ height: verified.height, size: verified.chunks.size });
      return { quick: true, ...verified, heightProved: false };
    }
    const verified = await verify(options);
    const { source, form, summary, proof, heightProved, codes, store, multistore, modules } =
      verified;
    this.measure(measuresOf(summary));
    return {
      quick: false,
      source,
      form,
      ...summary,
      heightProved,
      modules,
      ...(proof === undefined ? {} : { appHash: proof }),
      ...(codes === undefined ? {} : { codes }),
      ...(store === undefined ? {} : { store }),
      ...(multistore === undefined ? {} : { multistore }),
    };
  }

  async #verifyPlace(): Promise<VerifiedPlace> {
    const { args, flags, progress, signal } = this;
    const { all, height, sample, seed, concurrency, 'scratch-dir': scratchDir } = flags;
    const heights = height === undefined ? undefined : [height];
    const which = { source: args.source, all, heights, sample, seed };
    const verified = await verifyPlace({ ...which, concurrency, scratchDir, progress, signal });
    const [highest] = verified.heights;
    this.measure({ height: highest?.height, size: verified.read.size });
    return verified;
  }

  protected render(result: Result): string[] {
    if ('checked' in result) return renderChecks(result);
    if ('heights' in result) return renderPlace(result);
    if (result.quick) {
      const { count, size } = result.chunks;
      return [
        `ok, quickly: all chunks of height ${result.height} are there: ${result.source}`,
        `  chunks       ${count}, ${formatBytes(size)}`,
        `  contentHash  ${result.contentHash} (as the manifest says)`,
      ];
    }
    const { height, artifactMode, exportData, artifacts, hashes, appHash, codes, store } = result;
    const { multistore } = result;
    return [
      `ok: ${result.form} of height ${height} (${artifactMode}): ${result.source}`,
      `  export data      ${exportData.entries} entries, ${formatBytes(exportData.size)}`,
      `  artifacts        ${artifacts.count}, ${formatBytes(artifacts.size)}`,
      `  contentHash      ${hashes?.contentHash ?? 'unknown: artifacts beyond the mode were not read'}`,
      `  operationalHash  ${hashes?.operationalHash ?? ''}`,
      ...(codes === undefined
        ? []
        : [`  byte code        ${codes.count}, ${formatBytes(codes.size)}`]),
      ...(appHash === undefined ? [] : renderProof(appHash, result)),
      ...renderModules(result.modules, 'verified'),
      ...(store === undefined
        ? []
        : [
            `ok: the SwingStore holds it: ${store.path}`,
            `  compared (${store.artifactMode})  ${store.equal} artifacts equal, ${store.onlyInStore} historical ones only in the store`,
          ]),
      ...(multistore === undefined ? [] : [`  multistore       ${describePairing(multistore)}`]),
    ];
  }
}

const PROOFS: Readonly<Record<HeightProof, string>> = {
  unpacked: 'unpacked and proved',
  known: 'proved by the hashes of its files: you made it, or verified all of it before',
  sampled: 'sampled; its manifest and its list are right',
};

function renderPlace({ source, heights, chunks, read, sampled }: VerifiedPlace): string[] {
  return [
    `ok: ${heights.length} heights: ${source}`,
    ...heights.map(({ height, proof }) => `  ${height}  ${PROOFS[proof]}`),
    `  chunks           ${read.count} of ${chunks.count} read, ${formatBytes(read.size)} of ${formatBytes(chunks.size)}`,
    ...(sampled === undefined
      ? []
      : [
          `sampled: ${sampled.share * 100}% of the bytes, --seed ${shellQuote(sampled.seed)}; nothing is proved of the other chunks, nor any contentHash`,
        ]),
  ];
}
