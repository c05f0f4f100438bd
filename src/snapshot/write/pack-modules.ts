/** The sender's side of a snapshot: drives the readers of all modules concurrently and packs their chunks. */
import { SwingSnapError, UsageError } from '../../errors.ts';
import { defaultScratchDir } from '../../io/files/scratch.ts';
import { noProgress, type Progress } from '../../io/progress.ts';
import { inlinePool } from '../../io/threads/pool.ts';
import type { SnapshotStorage } from '../../storage/contract.ts';
import { MAX_MODULES } from '../layout.ts';
import {
  BeginAgainError,
  bytesOfEntries,
  isModuleName,
  MODULE_NAMES,
  type ChunkedReadable,
  type ReadContext,
  type StateDescription,
  type StateModule,
} from '../module-contract.ts';
import { ModuleProgress, together } from '../together.ts';
import {
  SnapshotBuilder,
  versionOf,
  type WriteSnapshotOptions,
  type WrittenSnapshot,
} from './build.ts';

export interface PackModulesOptions extends WriteSnapshotOptions {
  readonly chainId?: string | undefined;
  readonly progress?: Progress | undefined;
  /** Aborts the transfer with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes a snapshot of the modules' states. If one module fails, all end and nothing is published.
 * @param modules with different names, `swingset` among them
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS`, `MODULE_NAME`, `MODULE_COUNT`, and as the modules
 */
export async function packModules(
  storage: SnapshotStorage,
  modules: readonly StateModule[],
  options: PackModulesOptions,
): Promise<WrittenSnapshot> {
  refuseNames(modules);
  try {
    return await attempt(storage, modules, options);
  } catch (error) {
    if (!(error instanceof BeginAgainError)) throw error;
    return attempt(storage, modules, options);
  }
}

async function attempt(
  storage: SnapshotStorage,
  modules: readonly StateModule[],
  options: PackModulesOptions,
): Promise<WrittenSnapshot> {
  const names = modules.map(({ name }) => name);
  const builder = await SnapshotBuilder.start(storage, names, options);
  const readables: ChunkedReadable[] = [];
  const end = new AbortController();
  const signal = AbortSignal.any([end.signal, ...(options.signal ? [options.signal] : [])]);
  const abort = async (error: unknown): Promise<void> => {
    end.abort(error);
    await Promise.all(readables.map(async (readable) => readable.abort(error)));
  };
  const read = async (module: StateModule): Promise<[string, StateDescription]> => {
    const told = new ModuleProgress(module, modules, options.progress ?? noProgress);
    const readable = await module.beginReadState(
      contextFor(builder, told.progress, { ...options, signal }),
    );
    readables.push(readable);
    for (;;) {
      signal.throwIfAborted();
      const chunk = await readable.readChunk();
      if (chunk === undefined) return [module.name, await readable.done()];
      await builder.add(module.name, chunk);
      // Unread chunks are those of the module that reports its own progress.
      if ('entries' in chunk) told.count(bytesOfEntries(chunk.entries));
    }
  };
  try {
    const states = Object.fromEntries(await together(modules, read, abort));
    return await builder.finish(states);
  } catch (error) {
    await abort(error);
    await builder.abort();
    throw error;
  }
}

function contextFor(
  { held }: SnapshotBuilder,
  progress: Progress,
  options: PackModulesOptions,
): ReadContext {
  const { height, chainId, chunkBytes, signal, earlier } = options;
  const { pool = inlinePool, scratchDir = defaultScratchDir() } = options;
  return {
    height,
    chainId,
    chunkBytes,
    pool,
    scratchDir,
    progress,
    signal,
    held: earlier && held,
    takesUnread: versionOf(options) !== 1,
  };
}

/** @throws {SwingSnapError} `MODULE_NAME`, `MODULE_COUNT` */
function refuseNames(modules: readonly StateModule[]): void {
  if (modules.length > MAX_MODULES) {
    throw new UsageError('MODULE_COUNT', 'too many modules for a snapshot', {
      expected: `at most ${MAX_MODULES}, swingset among them`,
      found: modules.length,
    });
  }
  const names = modules.map(({ name }) => name);
  const wrong = names.find((name, at) => !isModuleName(name) || names.indexOf(name) !== at);
  if (wrong === undefined) return;
  throw new SwingSnapError('MODULE_NAME', 'a module name is invalid or used twice', {
    expected: `different names, each of ${MODULE_NAMES}`,
    found: JSON.stringify(wrong),
  });
}
