/** `restore`: builds a SwingStore from a source, and installs it together with the other modules of the source. */
import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { BusyError, SwingSnapError } from '../../errors.ts';
import { removeDeadBuilds } from '../../formats/swing-store/build/build.ts';
import {
  refuseExistingStore,
  refuseImmovableStore,
  type InstalledStore,
} from '../../formats/swing-store/build/install.ts';
import { DEFAULT_GZIP_LEVEL } from '../../formats/swing-store/heap-blob.ts';
import { blobTooLarge, MAX_BLOB_BYTES } from '../../formats/swing-store/layout.ts';
import { freeBytes, refuseNoSpace } from '../../io/disks/free-space.ts';
import { makeDirectory, unmakeDirectories } from '../../io/files/made-directory.ts';
import { noProgress, type Progress } from '../../io/progress.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import { newStore } from '../../modules/swingset/destinations.ts';
import { receive, type ModuleResult } from '../../source/receive.ts';
import type { Source, SourceForm } from '../../source/source.ts';
import { maySatisfy, type RestoreMode } from '../../swing-store-export/artifact-mode.ts';
import { planOf } from '../../swing-store-export/copy-unverified.ts';
import type {
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { lockedPathsOf, lockOperation } from '../lock/lock.ts';
import { withLock } from '../lock/with-lock.ts';
import type { SourceOptions } from '../options.ts';
import {
  compareWithMultistore,
  describePairing,
  refuseUnpaired,
  restoredHead,
  type Pairing,
} from '../pairing/pairing.ts';
import { checkDestination, modulesToWrite, refuseWrongPlaces, type NamedPlace } from '../places.ts';
import {
  checkHome,
  checkWritable,
  chooseScratchDir,
  refuseForeignOwner,
  type Check,
} from '../preflight.ts';
import { refuseUnproved, type Proof, type ProofOptions } from '../proof.ts';
import { withSource } from '../with-source.ts';
import { readAgain, readingAgain } from './read-again.ts';

export interface RestoreOptions extends SourceOptions, ProofOptions {
  readonly stateDir: string;
  /**
   * The node's home, if the state dir is meant as a part of it: then the directories between the two are made, and the
   * height is compared with that of the multistore there. Without it, the directory above the state dir must exist.
   */
  readonly home?: string | undefined;
  /** Restores beside a multistore with which the node does not go on, instead of refusing. */
  readonly unpaired?: boolean | undefined;
  /** Destinations for the states of other modules. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** Names of modules that may be without a destination: their states are only verified. */
  readonly leaveModules?: readonly string[] | undefined;
  /** By default the mode of the source, else `operational`. */
  readonly artifactMode?: RestoreMode | undefined;
  /** Moves an existing store, and existing trees of modules, aside instead of refusing. */
  readonly replace?: boolean | undefined;
  /** Reads the whole new store once more before installing it. */
  readonly paranoid?: boolean | undefined;
  /** zlib level of heap snapshots in the new store, 1 to 9. */
  readonly gzipLevel?: number | undefined;
}

export interface Restored {
  readonly form: SourceForm;
  /** Path of the restored source. */
  readonly source: string;
  readonly store: InstalledStore;
  readonly summary: ExportSummary;
  readonly proved: Proof;
  /** Whether the caller's content hash proves the height. An AppHash does not: the height is then only a label. */
  readonly heightProved: boolean;
  readonly modules: readonly RestoredModule[];
  /** How the new store stands to the multistore of the home; undefined if none was found, or no home named. */
  readonly multistore: Pairing | undefined;
}

/** A module, and who owns what was restored of it; undefined if it was only verified. */
export interface RestoredModule extends ModuleResult {
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** Checks whether {@link restore} could start, without making anything. Throws the same errors. */
export async function checkRestore(options: RestoreOptions): Promise<Check[]> {
  const { scratchDir, stateDir } = await prepare(options);
  return withSource(options, { scratchDir, needsExportData: true }, async (source) => {
    const { needed, places, multistore } = await refuseUnfit(source, options, scratchDir);
    return [
      {
        check: `${source.form} can be read at height ${source.height}`,
        path: source.swingset.location,
      },
      { ...stateDir, needed },
      ...(multistore === undefined
        ? []
        : [{ check: `multistore: ${describePairing(multistore)}`, path: multistore.path }]),
      ...places,
      checkWritable(scratchDir, 'scratch dir'),
    ];
  });
}

/**
 * Builds a SwingStore in `stateDir` and writes the other modules, verifies every byte on the way, and installs all of
 * them when they are complete.
 * @throws {VerificationError} if the source fails verification; nothing is left behind; `UNPAIRED`
 * @throws {SwingSnapError} `STORE_EXISTS`; `MODE`; {@link UsageError} `NO_PROOF`
 * @throws {NotFoundError} `HEIGHT`, `HOME_MISSING`, `PARENT_MISSING`
 * @throws {BusyError} `BUSY` if an operation on that store is in progress; `STORE_OPEN` if a process has it open
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const stateDir = resolve(options.stateDir);
  // Runs even if `prepare` then refuses an existing store: a killed restore may have installed that store, and left a
  // second name of its file, which readers of the store refuse.
  removeDeadBuilds(stateDir);
  const { scratchDir } = await prepare(options);
  return withSource(options, { scratchDir, needsExportData: true }, async (source, pool) => {
    const { artifactMode, multistore } = await refuseUnfit(source, options, scratchDir);
    const made = await makeDirectory(stateDir, { ownedAsAbove: true });
    return withLock(
      lockedPathsOf(stateDir),
      { operation: 'restore', stateDir, height: source.height },
      async (lock, progress) => {
        try {
          if (lock.isEmpty) throw removedMeanwhile(stateDir);
          const building = { ...options, stateDir, scratchDir, artifactMode, progress, pool };
          return { ...(await build(source, building)), multistore };
        } catch (error) {
          // Done under the lock, so that no other operation can have started there.
          await unmakeDirectories(made);
          throw error;
        }
      },
      options.progress,
    );
  });
}

function removedMeanwhile(path: string): BusyError {
  return new BusyError('BUSY', 'another restore has just removed the state dir', {
    path,
    hint: 'run it again',
  });
}

interface BuildOptions extends RestoreOptions {
  readonly artifactMode: RestoreMode;
  readonly scratchDir: string;
  readonly progress: Progress;
  readonly pool: WorkerPool;
}

async function build(source: Source, options: BuildOptions): Promise<Omit<Restored, 'multistore'>> {
  const { modules: places = [], replace = false, paranoid = false, expect, signal } = options;
  const { artifactMode, gzipLevel = DEFAULT_GZIP_LEVEL, scratchDir, pool, progress } = options;
  const working = { scratchDir, pool, progress, signal };
  const destination = newStore(options.stateDir, {
    replace,
    gzipLevel,
    pool,
    artifactMode,
    beforeInstall: async (staging, summary) => {
      if (paranoid) await readAgain(staging, summary, working);
    },
  });
  const others = modulesToWrite(await source.others(progress), places, {
    purpose: 'install',
    replace,
    leave: options.leaveModules,
    note: progress.note,
  });
  if (paranoid) {
    const plan = planOf(source.swingset);
    progress.plan?.(plan);
    readingAgain(progress).plan?.(plan);
  }
  const received = await receive(source, destination, others, { ...working, expect });
  const { summary, modules, store } = received;
  const byExpect = expect === undefined ? 'nothing' : 'expected hash';
  return {
    form: source.form,
    source: source.path,
    store,
    summary,
    proved: source.proof?.isProved === true ? 'app hash' : byExpect,
    heightProved: expect !== undefined,
    modules: modules.map(withOwner),
  };
}

function withOwner(module: ModuleResult): RestoredModule {
  if (module.path === undefined) return module;
  const { uid, gid } = lstatSync(module.path);
  return { ...module, owner: { uid, gid } };
}

/** Runs the checks that do not need the open source. */
async function prepare(
  options: RestoreOptions,
): Promise<{ readonly scratchDir: string; readonly stateDir: Check }> {
  const { replace = false, home } = options;
  refuseUnproved(options);
  const stateDir = resolve(options.stateDir);
  if (home !== undefined) checkHome(resolve(home));
  const writable = checkWritable(stateDir, 'state dir', { makesParents: home !== undefined });
  // These checks run before half an hour of building. Those of the lock, the existing store and open handles are made
  // again later. The lock is only tried and given back. It comes first: a swingsnap operation also has the store open,
  // but only `BUSY` names it and how to end it.
  lockOperation(lockedPathsOf(stateDir), { operation: 'restore', stateDir }).release();
  if (!replace) await refuseExistingStore(stateDir);
  else await refuseImmovableStore(stateDir);
  refuseForeignOwner(stateDir);
  return { scratchDir: chooseScratchDir(options.scratchDir, stateDir), stateDir: writable };
}

interface Fitting {
  /** That of the new store. */
  readonly artifactMode: RestoreMode;
  /** The most bytes that the new store is known to need. */
  readonly needed: number;
  readonly places: readonly Check[];
  readonly multistore: Pairing | undefined;
}

/** Runs the checks that need the open source. */
async function refuseUnfit(
  source: Source,
  options: RestoreOptions,
  scratchDir: string,
): Promise<Fitting> {
  await refuseLargeBundles(source);
  const { swingset } = source;
  const artifactMode = chooseMode(swingset, options.artifactMode);
  // A database needs about this for the export data. How far heap snapshots compress is not known before, so `most` is
  // what it needs if they do not.
  const bytes = swingset.estimate('export data').bytes ?? 0;
  refuseNoSpace(resolve(options.stateDir), bytes, 'the new SwingStore', '--state-dir');
  const most = bytes + (swingset.estimate('artifacts').bytes ?? 0);
  if (freeBytes(resolve(options.stateDir)) < most) {
    options.progress?.note(
      `the new SwingStore may need up to ${most} bytes, but fewer are free at ${resolve(options.stateDir)}`,
    );
  }
  refuseWrongPlaces(source.mayHold, options);
  const held = source.mayHold.map(({ name }) => name);
  const places = (options.modules ?? []).filter(({ name }) => held.includes(name));
  const multistore = await pair(source, options, scratchDir);
  return { artifactMode, needed: most, places: places.map(checkDestination), multistore };
}

/** Only the restored store counts: what is there now will be moved aside. @throws {VerificationError} `UNPAIRED` */
async function pair(
  { height, path }: Source,
  { home, unpaired = false, progress = noProgress }: RestoreOptions,
  scratchDir: string,
): Promise<Pairing | undefined> {
  if (home === undefined) return undefined;
  const { note } = progress;
  const pairing = await compareWithMultistore(restoredHead(height), home, { scratchDir, note });
  if (!unpaired) refuseUnpaired(pairing, { height, source: path, home });
  else if (pairing?.by !== undefined && pairing.by > 0) {
    note(`unpaired, as asked: multistore: ${describePairing(pairing)}`);
  }
  return pairing;
}

/** Bundles are not compressed in a store, so a bundle too large for SQLite is refused before anything is built. */
async function refuseLargeBundles(source: Source): Promise<void> {
  for await (const { name, size } of source.artifactSizes()) {
    if (name.startsWith('bundle.') && size > MAX_BLOB_BYTES) throw blobTooLarge(name, size);
  }
}

/** A store cannot be without artifacts: an export of mode `none` becomes an operational store if nothing is missing. */
function chooseMode(source: SwingStoreExport, asked: RestoreMode | undefined): RestoreMode {
  const held = source.artifactMode;
  const mode = asked ?? (held === undefined || held === 'none' ? 'operational' : held);
  if (maySatisfy(held, mode)) return mode;
  throw new SwingSnapError('MODE', 'the export does not hold all artifacts of the requested mode', {
    path: source.location,
    expected: mode,
    found: held,
    hint: 'leave out --artifact-mode, or restore from an export of that mode',
  });
}
