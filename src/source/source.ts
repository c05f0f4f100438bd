/**
 * A source holds the states of one height, whatever its form: it delivers them to modules, and says by itself what only
 * its form knows. No verb asks which form it reads.
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
  /** The SwingStore in it, for a verb that takes nothing else. */
  readonly swingset: SwingStoreExport;
  /** The states that it may hold beside the SwingStore, as far as that is known at once. */
  readonly mayHold: readonly NamedState[];
  /** What the AppHash proves; only of a state-sync snapshot, once its stores are read. */
  readonly proof: AppHashProof | undefined;
  /** Byte code that was read; only of a state-sync snapshot with a store `wasm`. */
  readonly codes: ByteCodes | undefined;
  /** The content hash that it promises. */
  readonly contentHash: string | undefined;

  /** The states that it holds beside the SwingStore. A state-sync snapshot is read to the end of its stores for that. */
  others(progress: Progress): Promise<readonly NamedState[]>;
  /** Names of artifacts and their sizes in bytes, as far as the form lists them. */
  artifactSizes(): AsyncIterable<ArtifactSize>;
  /** Modules that read its states, to be packed. Throws as {@link others} and {@link SwingStoreExport}. */
  readers(progress: Progress): Promise<readonly StateModule[]>;
  /** What a verb leaves that has read the SwingStore alone, in one line; undefined if that is nothing. */
  left(): string | undefined;
  /**
   * Delivers all states at the same time. Nothing is visible when it returns.
   * @param others writers of the states that {@link others} names
   * @throws {VerificationError} for whatever is wrong; nothing is left then
   */
  deliver<Installed extends InstalledState>(
    destination: StoreDestination<Installed>,
    others: readonly StateModule[],
    options: DeliverOptions,
  ): Promise<Delivered<Installed>>;
  /**
   * Hashes the files of chunks, and looks at nothing that is in them.
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
  /** Whether artifacts beyond the artifact mode are read too, where only their bytes tell the content hash. */
  readonly digests: boolean;
  /** Refuses a snapshot with artifacts that its artifact mode has no use for. */
  readonly wholly: boolean;
}

/** States that are complete, each by itself, and not visible. */
export interface Delivered<Installed extends InstalledState> {
  readonly swingset: ReadyState<Installed> & { readonly state: DescribedStore<Installed> };
  readonly others: readonly ReadyState[];
  /** SHA-256 of the manifest of a snapshot of which all was read. */
  readonly provedManifest?: string | undefined;
  /** Leaves nothing. */
  abort(error: unknown): Promise<void>;
}

/** As a manifest says it. */
export interface HashedChunks {
  readonly height: number;
  readonly contentHash: string;
  /** Their number, and bytes. */
  readonly chunks: { readonly count: number; readonly size: number };
}
