/** `restore`: a snapshot or an export directory becomes a SwingStore. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { BusyError, SwingSnapError, UsageError } from '../../errors.ts';
import { removeDeadBuilds } from '../../formats/swing-store/build/build.ts';
import {
  refuseExistingStore,
  type InstalledStore,
} from '../../formats/swing-store/build/install.ts';
import { DEFAULT_GZIP_LEVEL } from '../../formats/swing-store/heap-blob.ts';
import { databasePath } from '../../formats/swing-store/layout.ts';
import { refuseOpenDatabase } from '../../formats/swing-store/open-handles.ts';
import { freeBytes, refuseNoSpace } from '../../io/files/free-space.ts';
import { makeDirectory, unmakeDirectories } from '../../io/files/made-directory.ts';
import type { Progress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import { swingsetModule } from '../../modules/swingset/module.ts';
import { buildStoreFrom } from '../../modules/swingset/receivers.ts';
import { WASM } from '../../modules/wasm/layout.ts';
import { otherModules } from '../../snapshot/manifest.ts';
import type { StateModule } from '../../snapshot/module-contract.ts';
import { unpackModules } from '../../snapshot/read/unpack-modules.ts';
import { maySatisfy, type RestoreMode } from '../../swing-store-export/artifact-mode.ts';
import type {
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { lockedPathsOf, lockOperation } from '../lock/lock.ts';
import { followProgress, ProgressMeter } from '../lock/progress-meter.ts';
import {
  modulesToWrite,
  refuseMissing,
  resultOf,
  withContentHash,
  type ModuleResult,
  type NamedPlace,
} from '../places.ts';
import { checkWritable, chooseScratchDir, refuseForeignOwner, type Check } from '../preflight.ts';
import { refuseHeight } from '../refuse-height.ts';
import {
  findSource,
  openSource,
  type FoundSource,
  type OpenedSource,
  type Trust,
} from '../source/open.ts';
import { IncomingCodes, receiveSource } from '../source/receive.ts';
import { readAgain } from './read-again.ts';
import { refuseLargeBundles } from './refuse-large-bundles.ts';

export interface RestoreOptions extends Trust {
  readonly source: string;
  readonly stateDir: string;
  /** Where the states of other modules go. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** By default the source's own, else `operational`. */
  readonly artifactMode?: RestoreMode | undefined;
  /** The height that the source must be at. */
  readonly height?: number | undefined;
  /** The content hash that the source must have. */
  readonly expect?: string | undefined;
  /** Moves an existing store aside instead of refusing. */
  readonly replace: boolean;
  /** Refuses a restore that nothing proves. */
  readonly requireProof: boolean;
  /** Reads the new store once more, whole, before it is installed. */
  readonly paranoid: boolean;
  /** zlib level of heap snapshots in the new store, 1 to 9. */
  readonly gzipLevel?: number | undefined;
  /** Worker threads; by default one per processor. */
  readonly concurrency?: number | undefined;
  readonly scratchDir?: string | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** What stands behind a restored store: the AppHash or the content hash that the caller named, or nothing. */
export type Proof = 'app hash' | 'expected hash' | 'nothing';

export interface Restored {
  readonly form: FoundSource['form'];
  /** Path of what was restored. */
  readonly source: string;
  readonly store: InstalledStore;
  readonly summary: ExportSummary;
  readonly proved: Proof;
  /** Whether the caller's content hash covers the height. An AppHash does not: there, a name says it. */
  readonly heightProved: boolean;
  readonly modules: readonly ModuleResult[];
}

/** Looks whether {@link restoreStore} could start, without making anything. Throws as it does. */
export async function checkRestore(options: RestoreOptions): Promise<Check[]> {
  const { source, found, scratchDir } = await prepare(options);
  await source.close();
  return [
    {
      check: `${found.form} can be read at height ${source.height}`,
      path: source.location,
    },
    checkWritable(options.stateDir, 'state dir'),
    ...placesFor(source, options.modules).map(({ name, dir }) =>
      checkWritable(dir, `place of module ${name}`),
    ),
    checkWritable(scratchDir, 'scratch dir'),
  ];
}

/** The places that something of the source goes to, or may. */
function placesFor(
  { manifest, readStores }: OpenedSource,
  places: readonly NamedPlace[] = [],
): readonly NamedPlace[] {
  // Whether there is byte code in a state-sync snapshot is known once its stores are read.
  const ofStateSync = readStores === undefined ? [] : [WASM];
  const held = manifest === undefined ? ofStateSync : otherModules(manifest).map(([name]) => name);
  return places.filter(({ name }) => held.includes(name));
}

/**
 * Builds a SwingStore in `stateDir`, every byte verified as it is written, and moves it into place when it is whole.
 * @throws {VerificationError} if the source is not what it should be; nothing is left then
 * @throws {SwingSnapError} `STORE_EXISTS`; `HEIGHT`
 * @throws {BusyError} `BUSY` if an operation on that store is in progress; `STORE_OPEN` if a process has it open
 */
export async function restoreStore(options: RestoreOptions): Promise<Restored> {
  return withWorkerPool(options.concurrency, async (pool) => restoreWith({ ...options, pool }));
}

/** With whoever does the work that takes long. */
type PooledOptions = RestoreOptions & { readonly pool: WorkerPool };

async function restoreWith(options: PooledOptions): Promise<Restored> {
  // Also where the store that is there is then refused: it may be what a killed restore has made.
  removeDeadBuilds(resolve(options.stateDir));
  const prepared = await prepare(options);
  const { source } = prepared;
  const stateDir = resolve(options.stateDir);
  try {
    const made = await makeDirectory(stateDir, { ownedAsAbove: true });
    const facts = { operation: 'restore', stateDir, height: source.height } as const;
    const lock = lockOperation(lockedPathsOf(stateDir), facts);
    if (lock.isEmpty) {
      throw new BusyError('BUSY', 'another restore has just removed the state dir', {
        path: stateDir,
        hint: 'run it again',
      });
    }
    const progress = new ProgressMeter(options.progress);
    const stopTelling = followProgress(progress, (now) => {
      lock.update({ progress: now });
    });
    try {
      return await restoreLocked({ ...options, stateDir, progress }, prepared);
    } catch (error) {
      // While the lock is held: nobody else may have begun there.
      await unmakeDirectories(made);
      throw error;
    } finally {
      stopTelling();
      lock.release();
    }
  } finally {
    await source.close();
  }
}

async function restoreLocked(options: PooledOptions, prepared: Prepared): Promise<Restored> {
  const { source, found, codec, scratchDir, artifactMode } = prepared;
  const { replace, expect, progress, signal, pool, gzipLevel = DEFAULT_GZIP_LEVEL } = options;
  const beforeInstall = async (staging: string, summary: ExportSummary): Promise<void> => {
    if (!options.paranoid) return;
    await readAgain(staging, summary, { progress, signal, scratchDir, pool });
  };
  let summary: ExportSummary | undefined;
  let store: InstalledStore | undefined;
  const receive = buildStoreFrom(options.stateDir, {
    replace,
    gzipLevel,
    beforeInstall,
    pool,
    artifactMode,
    onCopied: (copied) => (summary = copied),
    onInstalled: (installed) => (store = installed),
  });
  const common = { progress, signal, pool, scratchDir, expect };
  let contentHash: string | undefined;
  let modules: readonly ModuleResult[];
  if (found.form === 'snapshot') {
    const swingset = swingsetModule({ target: { location: found.path, receive } });
    const all = [swingset, ...prepared.modules];
    const unpacked = await unpackModules(found.snapshot, all, { ...common, codec });
    ({ contentHash } = unpacked);
    modules = unpacked.modules.map(resultOf);
  } else {
    const { modules: places = [] } = options;
    ({ contentHash, modules } = await receiveSource(source, receive, {
      ...common,
      ...{ codes: prepared.codes, places, purpose: 'install' },
    }));
  }
  if (summary === undefined || store === undefined) throw new Error('nothing was installed');
  const byExpect = expect === undefined ? 'nothing' : 'expected hash';
  const proved: Proof = source.proof?.isProved === true ? 'app hash' : byExpect;
  const heightProved = expect !== undefined;
  const result = { form: found.form, source: found.path, store, proved, heightProved, modules };
  return { ...result, summary: withContentHash(summary, contentHash) };
}

interface Prepared {
  readonly source: OpenedSource;
  readonly found: FoundSource;
  readonly codec: ZstdCodec;
  readonly scratchDir: string;
  readonly artifactMode: RestoreMode;
  /** For what a snapshot holds beside the SwingStore. */
  readonly modules: readonly StateModule[];
  /** What a state-sync snapshot holds beside it. */
  readonly codes: IncomingCodes;
}

async function prepare(
  options: RestoreOptions & { readonly pool?: WorkerPool },
): Promise<Prepared> {
  if (options.requireProof && options.expect === undefined && options.appHash === undefined) {
    throw new UsageError('NO_PROOF', 'nothing would prove this restore', {
      hint: 'name the content hash that retrieve printed, from a source that you trust, with --expect; or the AppHash of a state-sync snapshot with --app-hash',
    });
  }
  const stateDir = resolve(options.stateDir);
  // Told before half an hour of building, and once more before the old store is moved.
  // An operation of ours also has the store open, and can be named with what ends it.
  lockOperation(lockedPathsOf(stateDir), { operation: 'restore', stateDir }).release();
  if (!options.replace) await refuseExistingStore(stateDir);
  else if (existsSync(databasePath(stateDir))) await refuseOpenDatabase(databasePath(stateDir));
  checkWritable(options.stateDir, 'state dir');
  refuseForeignOwner(stateDir);
  const scratchDir = chooseScratchDir(options.scratchDir, options.stateDir);
  const found = findSource(options.source);
  const codec = await loadZstdCodec();
  const { note } = options.progress;
  const codes = new IncomingCodes();
  const onCode = codes.take;
  const opening = { ...options, codec, scratchDir, note, needsExportData: true, onCode };
  const source = await openSource(found, opening);
  try {
    refuseHeight(source, options.height);
    await refuseLargeBundles(found, codec);
    const artifactMode = chooseMode(source, options.artifactMode);
    // More than the export data surely takes; how far heap snapshots compress is not known.
    const bytes = source.estimate('export data').bytes ?? 0;
    refuseNoSpace(resolve(options.stateDir), bytes, 'the new SwingStore', '--state-dir');
    const most = bytes + (source.estimate('artifacts').bytes ?? 0);
    if (freeBytes(stateDir) < most) {
      options.progress.note(
        `the new SwingStore may need up to ${most} bytes: less are free at ${stateDir}`,
      );
    }
    const modules = modulesFor(source, options, note);
    return { source, found, codec, scratchDir, artifactMode, modules, codes };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Throws as `modulesToWrite`. */
function modulesFor(
  { manifest, readStores }: OpenedSource,
  { modules: places = [], replace }: RestoreOptions,
  note: (message: string) => void,
): StateModule[] {
  if (manifest === undefined) {
    refuseMissing(readStores === undefined ? [] : [WASM], places);
    return [];
  }
  return modulesToWrite(otherModules(manifest), places, { purpose: 'install', replace, note });
}

function chooseMode(source: SwingStoreExport, asked: RestoreMode | undefined): RestoreMode {
  const held = source.artifactMode;
  const mode = asked ?? (held === undefined || held === 'none' ? 'operational' : held);
  if (maySatisfy(held, mode)) return mode;
  throw new SwingSnapError('MODE', 'the export does not hold what the artifact mode asks for', {
    path: source.location,
    expected: mode,
    found: held,
    hint: 'leave out --artifact-mode, or restore from an export of that mode',
  });
}
