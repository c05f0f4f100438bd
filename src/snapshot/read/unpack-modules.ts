/** The receiver's side of a snapshot: drives the writers of all modules at the same time, and installs their states. */
import { VerificationError } from '../../errors.ts';
import { defaultScratchDir } from '../../io/files/scratch.ts';
import { InOrder } from '../../io/flow/in-order.ts';
import { noProgress, type Progress } from '../../io/progress.ts';
import { inlinePool, queueFor, type WorkerPool } from '../../io/threads/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { contentHashOf } from '../content-hash.ts';
import { moduleNames, readManifestFile, type SnapshotManifest } from '../manifest.ts';
import type {
  ChunkedWritable,
  InstalledState,
  StateContext,
  StateDescription,
  StateModule,
  WrittenState,
} from '../module-contract.ts';
import { progressFor, together } from '../together.ts';
import { ChunkReader } from './chunk-reader.ts';
import { installAll } from './install.ts';

export interface UnpackModulesOptions {
  readonly codec: ZstdCodec;
  /** Unpacks chunks; by default this thread does. */
  readonly pool?: WorkerPool | undefined;
  /** For scratch files; by default the system's temporary directory. */
  readonly scratchDir?: string | undefined;
  readonly chainId?: string | undefined;
  /** The content hash that the snapshot must have. */
  readonly expect?: string | undefined;
  readonly progress?: Progress | undefined;
  /** Ends it with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A module, and what became of its state. */
export interface UnpackedModule {
  readonly name: string;
  readonly kind: string;
  readonly description: StateDescription;
  readonly installed: InstalledState;
}

export interface UnpackedSnapshot {
  readonly contentHash: string;
  /** SHA-256 of the manifest file that was read. */
  readonly manifestSha256: string;
  /** Whether every chunk was read: modules leave what they have no use for. */
  readonly isReadWhole: boolean;
  /** In the order in which they were installed. */
  readonly modules: readonly UnpackedModule[];
}

/** Bytes that a module may have taken and not done with, beside what it reads ahead itself. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/**
 * Verifies a snapshot and hands each module its state. All states are complete before the first is installed, and what
 * one lacks none of them gets. If an install fails, those before it are undone.
 * @param modules one for each that the snapshot holds
 * @throws {VerificationError} for whatever is wrong with the snapshot; `UNKNOWN_MODULE` if there is no module for one of
 *   its states
 */
export async function unpackModules(
  snapshot: StoredSnapshot,
  modules: readonly StateModule[],
  options: UnpackModulesOptions,
): Promise<UnpackedSnapshot> {
  const { manifest, sha256: manifestSha256 } = await readManifestFile(snapshot);
  const ordered = inInstallOrder(snapshot, manifest, modules);
  const { codec, pool = inlinePool } = options;
  const reader = new ChunkReader(snapshot, manifest, codec, pool);
  const writables: ChunkedWritable[] = [];
  const end = new AbortController();
  const signal = AbortSignal.any([end.signal, ...(options.signal ? [options.signal] : [])]);
  const abort = async (error: unknown): Promise<void> => {
    end.abort(error);
    await Promise.all(writables.map(async (writable) => writable.abort(error)));
  };
  const receive = async (module: StateModule): Promise<WrittenState> => {
    const writable = await module.beginWriteState(
      contextFor(module, modules, manifest, { ...options, signal }),
    );
    writables.push(writable);
    const { items } = queueFor(pool);
    const window = new InOrder<void>({ items, bytes: WINDOW_BYTES }, () => undefined);
    for await (const chunk of reader.chunks(module.name)) {
      signal.throwIfAborted();
      const bytes = chunk.entries.reduce((sum, { size }) => sum + size, 0);
      await window.add(writable.writeChunk(chunk), bytes);
    }
    await window.end();
    return writable.done();
  };
  try {
    const written = await together(ordered, receive, abort);
    const isReadWhole = await reader.settle();
    refuseOtherContent(snapshot, manifest, ordered, written, options.expect);
    signal.throwIfAborted();
    const installed = await installAll(written);
    const unpacked = ordered.map(({ name, kind }, at) => ({
      name,
      kind,
      description: itemAt(written, at).description,
      installed: itemAt(installed, at),
    }));
    const { contentHash } = manifest;
    return { contentHash, manifestSha256, isReadWhole, modules: unpacked };
  } catch (error) {
    await abort(error);
    throw error;
  }
}

function contextFor(
  module: StateModule,
  modules: readonly StateModule[],
  manifest: SnapshotManifest,
  options: UnpackModulesOptions,
): StateContext {
  const { chainId, signal, pool = inlinePool, scratchDir = defaultScratchDir() } = options;
  return {
    height: manifest.height,
    chainId,
    trusted: { ...manifest.modules[module.name] },
    chunkBytes: manifest.made.chunkSize,
    pool,
    scratchDir,
    progress: progressFor(module, modules, options.progress ?? noProgress),
    signal,
  };
}

const RANKS = { first: 0, between: 1, last: 2 } as const;

function inInstallOrder(
  { location }: StoredSnapshot,
  manifest: SnapshotManifest,
  modules: readonly StateModule[],
): StateModule[] {
  const names = moduleNames(manifest.modules);
  const found = names.map((name) => {
    const module = modules.find((one) => one.name === name);
    if (module !== undefined) return module;
    throw new VerificationError('UNKNOWN_MODULE', 'the snapshot holds a module that nobody takes', {
      path: location,
      expected: modules.map((one) => one.name).join(', '),
      found: name,
    });
  });
  return found.sort((a, b) => RANKS[a.installs] - RANKS[b.installs]);
}

function refuseOtherContent(
  { location }: StoredSnapshot,
  { height, contentHash }: SnapshotManifest,
  modules: readonly StateModule[],
  written: readonly WrittenState[],
  expect: string | undefined,
): void {
  const states = Object.fromEntries(
    modules.map(({ name }, at) => [name, itemAt(written, at).description]),
  );
  const found = contentHashOf(height, states);
  for (const expected of [contentHash, expect]) {
    if (expected === undefined || expected === found) continue;
    throw new VerificationError('HASH_MISMATCH', 'the snapshot has another contentHash', {
      path: location,
      expected,
      found,
    });
  }
}

function itemAt<Item>(items: readonly Item[], at: number): Item {
  const item = items[at];
  if (item === undefined) throw new RangeError(`no item ${at}`);
  return item;
}
