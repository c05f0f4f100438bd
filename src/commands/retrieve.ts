import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import {
  byteSize,
  DESTINATION,
  SOURCE,
  TIMING,
  TUNING,
  artifactModeFlag,
  checkFlag,
  concurrencyFlag,
  expectFlag,
  exportDirOrStoreFlag,
  fromFlag,
  heightFlag,
  metricsFileFlag,
  niceFlag,
  requireProofFlag,
  scratchDirFlag,
  snapshotDirFlag,
  stateDirFlags,
  storeView,
  storeViewFlags,
  trustFlags,
  wholeNumber,
} from '../cli/flags/flags.ts';
import { KEEP_FLAGS, keepFlags, keepRules } from '../cli/flags/keep-flags.ts';
import { chooseSource } from '../cli/flags/locations.ts';
import { leaveModuleFlag, moduleFlag, placesOf } from '../cli/flags/module-flag.ts';
import {
  renderStateSync,
  stateSyncFlags,
  stateSyncResult,
  type StateSyncResult,
} from '../cli/flags/state-sync-flags.ts';
import { renderChecks, type CheckResult } from '../cli/report.ts';
import { formatBytes } from '../cli/text/format.ts';
import { UsageError } from '../errors.ts';
import { shellQuote } from '../io/shell-quote.ts';
import { lowerPriority } from '../io/threads/priority.ts';
import type { RetrieveSource } from '../operation/retrieve/read-source.ts';
import { checkRetrieve, retrieve } from '../operation/retrieve/retrieve.ts';
import {
  checkRetrieveStateSync,
  retrieveStateSync,
} from '../operation/retrieve/state-sync-archive.ts';
import { FORMAT_VERSIONS, type FormatVersion } from '../snapshot/layout.ts';
import type { SnapshotManifest } from '../snapshot/manifest.ts';
import type { Reused } from '../snapshot/write/chunk-writer.ts';

interface RetrieveResult {
  /** The snapshot's directory. */
  readonly path: string;
  readonly height: number;
  /** No flag takes a hash that covers the height. */
  readonly heightProved: boolean;
  readonly contentHash: string;
  /** False if the same snapshot already exists. */
  readonly written: boolean;
  readonly modules: SnapshotManifest['modules'];
  readonly chunks: SnapshotManifest['chunks'];
  readonly codec: string;
  readonly level: number;
  /** Version of the snapshot format. */
  readonly formatVersion: number;
  /** Set if the export directory was removed. */
  readonly removed?: { readonly files: number; readonly left: readonly string[] };
  readonly removedHeights: readonly number[];
  /** Chunks reused from the snapshot of another height, and their bytes. */
  readonly reused: Reused & { readonly from?: number };
}

const EXPORT_DIRECTORY_FLAGS = ['keep-export', 'delete-export', 'no-wait'] as const;
const FROM_FLAGS = ['app-hash', 'mem-store', 'leave-module'] as const;
const STATE_SYNC_FLAGS = ['stores-from', 'wasm-dir'] as const;
/** Flags that mean nothing for an archive, or that would remove its sources. */
const SNAPSHOT_FLAGS = [
  'expect',
  'leave-module',
  'keep-export',
  'delete-export',
  'create',
  ...KEEP_FLAGS,
  'module',
  'chunk-size',
  'level',
  'format-version',
  'no-reuse',
  'no-recheck',
] as const;
const LIVE_STORE_FLAGS = [
  'artifact-mode',
  'at-height',
  'every',
  'timeout',
  'max-wal',
  'max-time',
] as const;

/** A version of the snapshot format. */
const formatVersion = Flags.custom<FormatVersion>({
  helpValue: FORMAT_VERSIONS.join('|'),
  options: FORMAT_VERSIONS.map(String),
  parse: async (input) => FORMAT_VERSIONS.find((version) => String(version) === input) ?? 2,
});

type Result = RetrieveResult | StateSyncResult | CheckResult;

export default class Retrieve extends BaseCommand<typeof Retrieve, Result> {
  static override summary = 'Package an export, or the live store itself, as a verified snapshot.';

  static override description = withExitCodes(
    'Reads an export directory (--export-dir) or the live store (--state-dir, --home), checks every artifact ' +
      'against the export data, and publishes <snapshot-dir>/<height>/ only if every check passes. ' +
      'The first snapshot in a new directory needs --create, so that a backup disk that is not mounted is noticed. ' +
      'It then removes the export directory if swingsnap made it. With --format state-sync it writes ' +
      '<snapshot-dir>/<height>-<format>.tar.gz instead: the unchanged stores of --stores-from, followed by these artifacts.',
  );

  static override usage =
    '<%= command.id %> --snapshot-dir DIR (--home DIR | --state-dir DIR | --export-dir DIR | --from SOURCE) [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --home ~/.agoric --snapshot-dir /backup/snapshots --create',
    '<%= config.bin %> <%= command.id %> --export-dir /backup/export --snapshot-dir /backup/snapshots',
    '<%= config.bin %> <%= command.id %> --home ~/.agoric --snapshot-dir /backup/snapshots --keep-last 3',
    '<%= config.bin %> <%= command.id %> --format state-sync --stores-from ~/.agoric/data/snapshots --export-dir /backup/export --snapshot-dir /backup',
  ];

  static override flags = {
    'snapshot-dir': snapshotDirFlag,
    create: Flags.boolean({
      helpGroup: DESTINATION,
      summary:
        'Begin with a new snapshot dir; the directory above it must exist. Without it, the snapshot dir must be one already.',
    }),
    'export-dir': exportDirOrStoreFlag,
    ...stateDirFlags,
    from: fromFlag,
    module: moduleFlag(),
    'leave-module': leaveModuleFlag,
    expect: expectFlag,
    ...trustFlags,
    'require-proof': requireProofFlag,
    ...stateSyncFlags,
    height: heightFlag,
    'artifact-mode': artifactModeFlag({
      summary: 'Which artifacts to take from a live store. [default: operational]',
      exclusive: ['export-dir'],
    }),
    'keep-export': Flags.boolean({
      helpGroup: SOURCE,
      summary: 'Keep the export directory.',
      exclusive: ['delete-export'],
    }),
    'delete-export': Flags.boolean({
      helpGroup: SOURCE,
      summary: 'Remove the export directory even if swingsnap did not make it.',
      exclusive: ['keep-export'],
    }),
    'no-wait': Flags.boolean({
      helpGroup: TIMING,
      summary: 'Fail (exit 4) instead of waiting for an export that is still in progress.',
    }),
    ...storeViewFlags,
    ...keepFlags,
    replace: Flags.boolean({
      helpGroup: DESTINATION,
      summary: 'Replace another snapshot of the same height.',
    }),
    'chunk-size': byteSize({
      helpGroup: TUNING,
      summary:
        'Maximum raw size of a part of an artifact that is too large to be packed with others: above 64MiB, in format version 1 above this size. 4MiB to 64MiB. [default: 16MiB]',
    }),
    level: wholeNumber({
      helpGroup: TUNING,
      summary: 'zstd level. [default: 3; 1 for the artifacts of a first snapshot, packed together]',
      helpValue: 'N',
    }),
    'format-version': formatVersion({
      helpGroup: TUNING,
      summary:
        'Version of the snapshot format: 1 for readers before 0.2.0. [default: 2; 1 if only zstd-codec is there]',
    }),
    'no-reuse': Flags.boolean({
      helpGroup: TUNING,
      summary: 'Pack everything again, even what the snapshot of an earlier height already holds.',
    }),
    'no-recheck': Flags.boolean({
      helpGroup: TUNING,
      summary:
        'Reuse chunks of an earlier height without hashing them again, unless an export directory is removed afterwards.',
      exclusive: ['no-reuse'],
    }),
    'scratch-dir': scratchDirFlag,
    concurrency: concurrencyFlag,
    nice: niceFlag,
    check: checkFlag,
    'metrics-file': metricsFileFlag,
  };

  protected async execute(): Promise<Result> {
    const { flags, progress, signal } = this;
    if (flags.format === 'state-sync') return this.#retrieveStateSync();
    this.refuseFlags(STATE_SYNC_FLAGS, '--format state-sync', 'the output is a swingsnap snapshot');
    if (flags.from === undefined) {
      this.refuseFlags(FROM_FLAGS, '--from', 'the source is something else');
    }
    const options = {
      source: this.#source(),
      snapshotDir: flags['snapshot-dir'],
      create: flags.create,
      modules: placesOf(flags.module, flags.home, 'read'),
      leaveModules: flags['leave-module'],
      expect: flags.expect,
      requireProof: flags['require-proof'],
      height: flags.height,
      keep: keepRules(flags),
      replace: flags.replace,
      chunkBytes: flags['chunk-size'],
      level: flags.level,
      formatVersion: flags['format-version'],
      scratchDir: flags['scratch-dir'],
      concurrency: flags.concurrency,
      reuse: !flags['no-reuse'],
      recheck: !flags['no-recheck'],
      progress,
      signal,
    };
    if (flags.check) return { checked: await checkRetrieve(options) };
    const retrieved = await retrieve(options);
    const { path, manifest, written, removal, removedHeights, reusedFrom: from } = retrieved;
    const reused = from === undefined ? retrieved.reused : { from, ...retrieved.reused };
    const { height, version, contentHash, modules, chunks, made } = manifest;
    const { codec, level } = made;
    const newestMadeAt = Date.parse(String(made['at']));
    this.measure({ height, size: chunks.size, newestMadeAt });
    const removed =
      removal === undefined ? {} : { removed: { files: removal.files, left: removal.left } };
    return {
      path,
      height,
      heightProved: flags.expect !== undefined,
      contentHash,
      written,
      modules,
      chunks,
      codec,
      level,
      formatVersion: version,
      ...removed,
      removedHeights,
      reused,
    };
  }

  async #retrieveStateSync(): Promise<StateSyncResult | CheckResult> {
    const { flags, progress, signal } = this;
    this.refuseFlags(SNAPSHOT_FLAGS, 'a swingsnap snapshot', 'the output is a state-sync archive');
    const storesFrom = flags['stores-from'];
    if (storesFrom === undefined) {
      throw new UsageError('USAGE', '--format state-sync needs the stores of a chain', {
        hint: 'name a state-sync snapshot of the same height with --stores-from',
      });
    }
    const source = this.#source();
    const options = {
      source: 'exportDir' in source ? { ...source, remove: 'never' as const } : source,
      storesFrom,
      wasmDir: flags['wasm-dir'],
      snapshotDir: flags['snapshot-dir'],
      height: flags.height,
      appHash: flags['app-hash'],
      memStores: flags['mem-store'],
      requireProof: flags['require-proof'],
      replace: flags.replace,
      scratchDir: flags['scratch-dir'],
      concurrency: flags.concurrency,
      progress,
      signal,
    };
    if (flags.check) return { checked: await checkRetrieveStateSync(options) };
    const result = stateSyncResult(await retrieveStateSync(options));
    this.measure({ height: result.height, size: result.chunks.size });
    return result;
  }

  #source(): RetrieveSource {
    const { nice } = this.flags;
    const source = this.#chosenSource();
    if ('stateDir' in source || nice !== undefined) lowerPriority(nice);
    return source;
  }

  #chosenSource(): RetrieveSource {
    const { flags } = this;
    const { from, 'app-hash': appHash, 'mem-store': memStores } = flags;
    if (from !== undefined) {
      this.refuseFlags(EXPORT_DIRECTORY_FLAGS, 'an export directory', '--from is given');
      this.refuseFlags(LIVE_STORE_FLAGS, 'a live store', '--from is given');
      return { from, appHash, memStores };
    }
    const source = chooseSource(flags);
    if (source.kind === 'swing-store') {
      this.refuseFlags(EXPORT_DIRECTORY_FLAGS, 'an export directory', 'the source is a live store');
      const artifactMode = flags['artifact-mode'] ?? 'operational';
      return { stateDir: source.stateDir, artifactMode, ...storeView(flags) };
    }
    this.refuseFlags(LIVE_STORE_FLAGS, 'a live store', 'the source is an export directory');
    const remove = flags['keep-export'] ? 'never' : flags['delete-export'] ? 'always' : 'ours';
    return { exportDir: source.path, remove, wait: !flags['no-wait'] };
  }

  protected render(result: Result): string[] {
    if ('checked' in result) return renderChecks(result);
    if ('stores' in result) return renderStateSync(result);
    const { swingset } = result.modules;
    const { exportData, artifacts } = swingset;
    const verb = result.written ? 'snapshot of' : 'already there, the same snapshot of';
    return [
      `${verb} height ${result.height} (${swingset.artifactMode}): ${result.path}`,
      `  export data      ${exportData.entries} entries, ${formatBytes(exportData.size)}`,
      `  artifacts        ${artifacts.count}, ${formatBytes(artifacts.size)}`,
      ...renderFields(result.modules),
      `  chunks           ${result.chunks.count}, ${formatBytes(result.chunks.size)} (format ${result.formatVersion}, ${result.codec})`,
      `  contentHash      ${result.contentHash}`,
      `  operationalHash  ${swingset.operationalHash}`,
      ...(result.removed === undefined
        ? []
        : [`removed the export directory (${result.removed.files} files)`]),
      ...((result.removed?.left.length ?? 0) > 0
        ? [`left in place, not part of the export: ${result.removed?.left.join(', ') ?? ''}`]
        : []),
      ...result.removedHeights.map((height) => `removed the snapshot of height ${height}`),
      `next: swingsnap verify ${shellQuote(result.path)}`,
    ];
  }
}

/** One line for each module except `swingset`. */
function renderFields(modules: SnapshotManifest['modules']): string[] {
  return Object.entries(modules).flatMap(([name, fields]) => {
    if (!('kind' in fields)) return [];
    const { count, size } = fields.artifacts;
    return [`  module ${name} (${fields.kind})  ${count} artifacts, ${formatBytes(size)}`];
  });
}
