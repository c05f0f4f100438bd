/** The receiver's side of a snapshot: drives the writers of all modules concurrently. */
import { VerificationError } from '../../errors.ts';
import { defaultScratchDir } from '../../io/files/scratch.ts';
import { InOrder } from '../../io/flow/in-order.ts';
import { noProgress, type Progress } from '../../io/progress.ts';
import { queueFor } from '../../io/threads/pool.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { inInstallOrder, installTogether } from '../install-together.ts';
import { moduleNames } from '../manifest.ts';
import {
  bytesOfEntries,
  type ChunkedWritable,
  type InstalledState,
  type StateContext,
  type StateDescription,
  type StateModule,
  type WrittenState,
} from '../module-contract.ts';
import { ModuleProgress, together } from '../together.ts';
import { ChunkReader } from './chunk-reader.ts';
import { OpenedSnapshot, type OpenSnapshotOptions } from './opened-snapshot.ts';

/** The result of a module's writer. */
type WrittenBy<Module> = Module extends StateModule<infer Written> ? Written : never;

/** The written states of modules: each is complete and proved by itself, and not visible yet. */
export interface WrittenModules<Modules extends readonly StateModule[]> {
  /** In the order of the modules. */
  readonly states: { readonly [At in keyof Modules]: WrittenBy<Modules[At]> };
  /** Whether every chunk was read; modules skip chunks that they do not need. */
  readonly isReadWhole: boolean;
  /** Removes what was written. */
  abort(error: unknown): Promise<void>;
}

export interface WriteModulesOptions {
  /** Directory for scratch files; by default the system's temporary directory. */
  readonly scratchDir?: string | undefined;
  readonly chainId?: string | undefined;
  readonly progress?: Progress | undefined;
  /** Aborts the transfer with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Unwritten bytes that a module may hold, beyond what it reads ahead itself. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/**
 * Gives each module its state. If one module fails, all are aborted.
 * @param modules one for each module that the snapshot holds
 * @throws {VerificationError} if anything is wrong with the snapshot; `UNKNOWN_MODULE` if a module is missing
 */
export async function writeModules<Modules extends readonly StateModule[]>(
  snapshot: OpenedSnapshot,
  modules: readonly [...Modules],
  options: WriteModulesOptions,
): Promise<WrittenModules<Modules>> {
  refuseMissing(snapshot, modules);
  const reader = new ChunkReader(snapshot);
  const writables: ChunkedWritable[] = [];
  const end = new AbortController();
  const signal = AbortSignal.any([end.signal, ...(options.signal ? [options.signal] : [])]);
  const abort = async (error: unknown): Promise<void> => {
    end.abort(error);
    await Promise.all(writables.map(async (writable) => writable.abort(error)));
  };
  const write = async (module: StateModule): Promise<WrittenState> => {
    const { progress = noProgress } = options;
    const told = new ModuleProgress(module, modules, progress, sizeOf(module, snapshot));
    const context = contextFor(module, snapshot, told.progress, { ...options, signal });
    const writable = await module.beginWriteState(context);
    writables.push(writable);
    const { items } = queueFor(snapshot.pool);
    const window = new InOrder<void>({ items, bytes: WINDOW_BYTES }, () => undefined);
    for await (const chunk of reader.chunks(module.name)) {
      signal.throwIfAborted();
      const bytes = bytesOfEntries(chunk.entries);
      await window.add(writable.writeChunk(chunk), bytes);
      told.count(bytes);
    }
    await window.end();
    return writable.done();
  };
  try {
    const states = await together(modules, write, abort);
    const isReadWhole = await reader.settle();
    return {
      states: states as WrittenModules<Modules>['states'],
      isReadWhole,
      abort,
    };
  } catch (error) {
    await abort(error);
    throw error;
  }
}

/** Bytes of a module's state. */
function sizeOf({ name }: StateModule, { manifest }: OpenedSnapshot): number | undefined {
  return manifest.modules[name]?.artifacts.size;
}

function contextFor(
  module: StateModule,
  { manifest, pool }: OpenedSnapshot,
  progress: Progress,
  { chainId, signal, scratchDir = defaultScratchDir() }: WriteModulesOptions,
): StateContext {
  return {
    height: manifest.height,
    chainId,
    trusted: { ...manifest.modules[module.name] },
    chunkBytes: manifest.made.chunkSize,
    pool,
    scratchDir,
    progress,
    signal,
  };
}

function refuseMissing(
  { stored, manifest }: OpenedSnapshot,
  modules: readonly StateModule[],
): void {
  const given = modules.map(({ name }) => name);
  const missing = moduleNames(manifest.modules).find((name) => !given.includes(name));
  if (missing === undefined) return;
  throw new VerificationError('UNKNOWN_MODULE', 'the snapshot holds a module that has no writer', {
    path: stored.location,
    expected: given.join(', '),
    found: missing,
  });
}

/** A module and its installed state. */
export interface UnpackedModule {
  readonly name: string;
  readonly kind: string;
  readonly description: StateDescription;
  readonly installed: InstalledState;
}

export interface UnpackedSnapshot {
  readonly contentHash: string;
  /** In the order in which they were installed. */
  readonly modules: readonly UnpackedModule[];
}

export interface UnpackModulesOptions extends OpenSnapshotOptions, WriteModulesOptions {
  /** The content hash that the snapshot must have. */
  readonly expect?: string | undefined;
}

/**
 * Verifies a snapshot, gives each module its state, and installs the states when all are complete. If one of them cannot
 * be installed, those installed before it are undone.
 * @param modules one for each module that the snapshot holds
 * @throws {VerificationError} as {@link writeModules}; `HASH_MISMATCH`
 */
export async function unpackModules(
  stored: StoredSnapshot,
  modules: readonly StateModule[],
  options: UnpackModulesOptions,
): Promise<UnpackedSnapshot> {
  const snapshot = await OpenedSnapshot.open(stored, options);
  try {
    const { height, contentHash } = snapshot.manifest;
    const held = modules.filter(({ name }) => Object.hasOwn(snapshot.manifest.modules, name));
    const written = await writeModules(snapshot, held, options);
    const { states } = written;
    try {
      const ready = held.flatMap((module, at) => {
        const state = states[at];
        return state === undefined ? [] : [{ module, state }];
      });
      const installed = await installTogether(ready, {
        location: stored.location,
        height,
        expected: [contentHash, options.expect],
        signal: options.signal,
      });
      const unpacked = ready.flatMap(({ module, state: { description } }, at) => {
        const became = installed.states[at];
        return became === undefined ? [] : [{ module, description, installed: became }];
      });
      return {
        contentHash,
        modules: inInstallOrder(unpacked).map(({ module: { name, kind }, ...rest }) => ({
          name,
          kind,
          ...rest,
        })),
      };
    } catch (error) {
      await written.abort(error);
      throw error;
    }
  } finally {
    await snapshot.close();
  }
}
