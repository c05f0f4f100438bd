/**
 * A source holds the states of one height, in any form. It delivers them to modules, and answers every question that
 * depends on its form. No verb asks which form it reads.
 */
import type { ByteCodes } from '../formats/state-sync/open.ts';
import type { AppHashProof } from '../formats/state-sync/proof/app-hash.ts';
import type { Progress } from '../io/progress.ts';
import type { WorkerPool } from '../io/threads/pool.ts';
import type { DescribedStore, StoreDestination } from '../modules/swingset/destinations.ts';
import type { ReadyState } from '../snapshot/install-together.ts';
import type { InstalledState, StateModule } from '../snapshot/module-contract.ts';
import type { CopyOptions } from '../swing-store-export/copy-unverified.ts';
import type { SwingStoreExport } from '../swing-store-export/swing-store-export.ts';

export type SourceForm = 'snapshot' | 'export directory' | 'state-sync snapshot' | 'live store';

/** A state by its name, and the kind of module that reads and writes it. */
export interface NamedState {
  readonly name: string;
  readonly kind: string;
}

/**
 * The caller that opens a source closes it. A source is read once, in one of three ways: `swingset`, `readers`,
 * or `deliver`.
 */
export interface Source {
  readonly form: SourceForm;
  /** An absolute path. */
  readonly path: string;
  readonly height: number;
  /** Its SwingStore, for a verb that needs nothing else. */
  readonly swingset: SwingStoreExport;
  /** The states that it may hold beside the SwingStore, as far as is known on opening. */
  readonly mayHold: readonly (NamedState & {
    /** Whether only {@link others} knows if it does. */
    readonly isGuess?: boolean;
  })[];
  /** What the AppHash proves. Only a state-sync snapshot has it, once its stores are read. */
  readonly proof: AppHashProof | undefined;
  /** The byte code that was read. Only a state-sync snapshot with a store `wasm` has it. */
  readonly codes: ByteCodes | undefined;
  /** The content hash that the source declares. */
  readonly contentHash: string | undefined;

  /** The states that it holds beside the SwingStore. To find them, a state-sync snapshot reads all of its stores. */
  others(progress: Progress): Promise<readonly NamedState[]>;
  /** Names of artifacts and their sizes in bytes, as far as the form lists them. */
  artifactSizes(): AsyncIterable<ArtifactSize>;
  /** Modules that read its states for packing. Throws what {@link others} and {@link SwingStoreExport} throw. */
  readers(progress: Progress): Promise<readonly StateModule[]>;
  /** One line on what a verb that reads only the SwingStore leaves out; undefined if it leaves out nothing. */
  left(): string | undefined;
  /**
   * Delivers all states at the same time. None of them is visible yet when it returns.
   * @param others writers of the states that {@link others} names
   * @throws {VerificationError} for anything wrong; nothing is left behind
   */
  deliver<Installed extends InstalledState>(
    destination: StoreDestination<Installed>,
    others: readonly StateModule[],
    options: DeliverOptions,
  ): Promise<Delivered<Installed>>;
  /**
   * Hashes the chunk files without looking at their contents.
   * @throws {VerificationError} `SNAPSHOT_DAMAGED`; {@link UsageError} `NO_CHUNKS` if the form has none
   */
  hashChunks(options: CopyOptions): Promise<HashedChunks>;
  close(): Promise<void>;
}

export interface ArtifactSize {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

export interface DeliverOptions {
  readonly scratchDir: string;
  readonly pool: WorkerPool;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  /** Whether to read artifacts beyond the artifact mode too, where the content hash needs their bytes. */
  readonly digests: boolean;
  /** Refuses a snapshot with artifacts that its artifact mode has no use for. */
  readonly wholly: boolean;
}

/** States that are each complete, but not yet visible. */
export interface Delivered<Installed extends InstalledState> {
  readonly swingset: ReadyState<Installed> & { readonly state: DescribedStore<Installed> };
  readonly others: readonly ReadyState[];
  /** SHA-256 of a snapshot's manifest, if the whole snapshot was read. */
  readonly provedManifest?: string | undefined;
  /** Removes all of them. */
  abort(error: unknown): Promise<void>;
}

/** What the manifest declares. */
export interface HashedChunks {
  readonly height: number;
  readonly contentHash: string;
  /** The number of chunks, and their size in bytes. */
  readonly chunks: { readonly count: number; readonly size: number };
}
