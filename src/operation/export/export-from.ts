/** `export --from`: writes any source into an export directory, as one verified copy. */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { SwingSnapError } from '../../errors.ts';
import { removeHeldExport } from '../../formats/export-directory/remove.ts';
import { writeExportDirectory } from '../../formats/export-directory/write.ts';
import type { AppHashProof } from '../../formats/state-sync/proof/app-hash.ts';
import { refuseNoSpace } from '../../io/disks/free-space.ts';
import type { HeldDirectory } from '../../io/files/held-directory.ts';
import { noProgress } from '../../io/progress.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import type { Source, SourceForm } from '../../source/source.ts';
import { maySatisfy, type ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { copyVerified } from '../../swing-store-export/copy-verified.ts';
import type {
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import type { OperationLock } from '../lock/lock.ts';
import { ProgressMeter } from '../lock/progress-meter.ts';
import { RecordKeeper } from '../lock/record-keeper.ts';
import type { SourceOptions } from '../options.ts';
import { refuseLeftOut } from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { refuseUnproved, type ProofOptions } from '../proof.ts';
import type { Lookout } from '../store-view/bounds.ts';
import { withSource } from '../with-source.ts';
import {
  checkTarget,
  inExportDirectory,
  lookOutForDiscard,
  refuseInside,
} from './export-target.ts';

export interface ExportFromOptions extends SourceOptions, ProofOptions {
  readonly exportDir: string;
  /** Which artifacts to take; by default those of the source. */
  readonly artifactMode?: ArtifactMode | undefined;
  /** Names of modules of the source that may be left out: an export directory has no place for any. */
  readonly leaveModules?: readonly string[] | undefined;
}

export interface ExportedFrom {
  readonly form: SourceForm;
  /** Path of the exported source. */
  readonly source: string;
  readonly summary: ExportSummary;
  /** Set only for a state-sync snapshot. */
  readonly proof: AppHashProof | undefined;
}

/** Checks whether {@link exportFrom} could start, without making anything. Throws the same errors. */
export async function checkExportFrom(options: ExportFromOptions): Promise<Check[]> {
  return withTarget(options, async (source, { exportDir, scratchDir, needed }) => [
    {
      check: `${source.form} can be read at height ${source.height}`,
      path: source.swingset.location,
    },
    { ...(await checkTarget(exportDir)), needed },
    checkWritable(scratchDir, 'scratch dir'),
  ]);
}

/**
 * Writes the contents of the source into `exportDir`, as the node's own tools do, and proves on the way that the source
 * is complete and matches its records.
 * @throws {VerificationError} if it does not; the export directory is then as it was
 * @throws {SwingSnapError} `EXPORT_DIR` if that is not empty; `MODE` if the source holds less than requested
 * @throws {UsageError} `MODULE_PLACE`, `NO_PROOF`
 * @throws {NotFoundError} `HEIGHT`
 * @throws {BusyError} `BUSY` if an operation on the export directory is in progress
 */
export async function exportFrom(options: ExportFromOptions): Promise<ExportedFrom> {
  // The stores of a state-sync snapshot are read long before the copy would notice a discard.
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
  return withTarget({ ...options, signal }, async (source, target) => {
    const summary = await inExportDirectory(target.exportDir, {}, async (lock, directory) => {
      const lookout = lookOutForDiscard(directory, undefined);
      lookout.signal.addEventListener('abort', () => {
        stop.abort(lookout.signal.reason);
      });
      try {
        const held = { lock, directory, lookout };
        return await exportLocked({ ...options, ...target, signal }, source, held);
      } finally {
        lookout.end();
      }
    });
    const left = source.left();
    if (left !== undefined) options.progress?.note(left);
    return { form: source.form, source: source.path, summary, proof: source.proof };
  });
}

interface Target {
  readonly exportDir: string;
  readonly scratchDir: string;
  readonly pool: WorkerPool;
  /** Bytes that the export is known to need. */
  readonly needed: number;
}

/** Runs `work` with the open source, once it is known that the export directory can hold the export. */
async function withTarget<Result>(
  options: ExportFromOptions,
  work: (source: Source, target: Target) => Promise<Result>,
): Promise<Result> {
  const { artifactMode } = options;
  refuseUnproved(options);
  const exportDir = resolve(options.exportDir);
  const needs = {
    scratchDir: chooseScratchDir(options.scratchDir, exportDir),
    needsExportData: true,
    refuse: async ({ path }: { readonly path: string }) => {
      refuseInside(exportDir, path, 'source');
      await checkTarget(exportDir);
    },
  };
  return withSource(options, needs, async (source, pool) => {
    const { swingset } = source;
    const progress = options.progress ?? noProgress;
    // How large a part of the artifacts is, is not known before; and of a state-sync snapshot, it is only guessed later.
    const takesAll = artifactMode === undefined || artifactMode === swingset.artifactMode;
    const artifactBytes = takesAll ? (swingset.estimate('artifacts').bytes ?? 0) : 0;
    const bytes = (swingset.estimate('export data').bytes ?? 0) + artifactBytes;
    refuseLeftOut(await source.others(progress), options.leaveModules);
    refuseMode(swingset, artifactMode);
    refuseNoSpace(exportDir, bytes, 'the export', '--export-dir');
    return work(source, { exportDir, scratchDir: needs.scratchDir, pool, needed: bytes });
  });
}

function refuseMode(source: SwingStoreExport, asked: ArtifactMode | undefined): void {
  const held = source.artifactMode;
  if (asked === undefined || asked === 'none' || maySatisfy(held, asked)) return;
  throw new SwingSnapError('MODE', 'the source does not hold all artifacts of the requested mode', {
    path: source.location,
    expected: asked,
    found: held,
    hint: 'leave out --artifact-mode, or name a source of that mode',
  });
}

interface Held {
  readonly lock: OperationLock;
  readonly directory: HeldDirectory;
  readonly lookout: Lookout;
}

async function exportLocked(
  options: ExportFromOptions & Target,
  { swingset, path, height }: Source,
  { lock, directory, lookout }: Held,
): Promise<ExportSummary> {
  const { exportDir, artifactMode, expect, scratchDir, pool, signal } = options;
  const progress = new ProgressMeter(options.progress ?? noProgress);
  const keeper = new RecordKeeper(
    {
      format: 'swingsnap-operation',
      version: 1,
      state: 'started',
      source: path,
      exportDir,
      detached: false,
      height,
      artifactMode: artifactMode ?? swingset.artifactMode ?? 'operational',
      exportDataMode: 'all',
      pid: process.pid,
      host: hostname(),
      startedAt: new Date().toISOString(),
    },
    lock,
    directory.path,
  );
  lock.update({ height });
  try {
    await keeper.write({});
    keeper.follow(progress);
    const header = { height, artifactMode, withExportData: true };
    const { summary } = await copyVerified(
      swingset,
      async () => writeExportDirectory(directory.path, header, pool),
      { progress, signal, pool, scratchDir, artifactMode, expect },
    );
    lookout.throwIfDue();
    await keeper.stopFollowing();
    await keeper.write({
      state: 'done',
      artifactMode: summary.artifactMode,
      endedAt: new Date().toISOString(),
      files: summary.artifacts.count,
      progress: progress.atEnd,
    });
    return summary;
  } catch (error) {
    await keeper.stopFollowing();
    // If this fails, the free lock shows that the operation is dead. The first error is reported.
    await removeHeldExport(directory, { keepDirectory: true }).catch(() => undefined);
    throw error;
  }
}
