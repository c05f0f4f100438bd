/**
 * The contract of a module: one kind of state that a node keeps outside the Cosmos multistore, with its own reader and
 * writer. The names and steps come from the "Cosmos External State Sync" proposal
 * (https://hackmd.io/@michaelfig/ExternalStateSync); its `sdk.Context` is {@link StateContext} here.
 *
 * - sender: `beginReadState` returns a {@link ChunkedReadable}: `readChunk` until it returns undefined, then `done`
 * - receiver: `beginWriteState` returns a {@link ChunkedWritable}: `writeChunk` for each, `done`, then `install`
 *
 * `abort` ends either side at any moment before `install`, and leaves nothing behind. The modules of a snapshot run
 * concurrently. The driver (`snapshot/`) packs chunks without knowing their content. Every module passes
 * `test/contract/module.ts`.
 */
import { createHash, type Hash } from 'node:crypto';
import { SwingSnapError, UsageError, VerificationError } from '../errors.ts';
import type { Progress } from '../io/progress.ts';
import type { WorkerPool } from '../io/threads/pool.ts';
import type { Recipe } from '../io/threads/recipe.ts';
import type {
  ArtifactDigest,
  CheckedContent,
  Contents,
  ExpectedArtifact,
} from '../swing-store-export/swing-store-export.ts';

/** @typeParam Written the result of its writer's `done` */
export interface StateModule<Written extends WrittenState = WrittenState> {
  /** Its name in a snapshot: {@link isModuleName}. The names of its entries begin with this name and a `/`. */
  readonly name: string;
  /** Its registered kind of module. */
  readonly kind: string;
  /**
   * Whether its chunks may be written in any order, as long as those with parts of one artifact stay together.
   * Otherwise they are written in the order in which they were read.
   */
  readonly anyOrder: boolean;
  /**
   * When its state is installed: `first` if the state is named by its content and harmless while the rest is missing;
   * `last` if a node takes it for complete as soon as it exists.
   */
  readonly installs: 'first' | 'between' | 'last';
  /** @throws {SwingSnapError} if there is nothing to read */
  beginReadState(context: ReadContext): Promise<ChunkedReadable>;
  /** @throws {SwingSnapError} if it is known already that the state cannot be installed */
  beginWriteState(context: StateContext): Promise<ChunkedWritable<Written>>;
}

/** The sender's side of a transfer. Calls come one at a time. */
export interface ChunkedReadable {
  /** The next chunk; undefined after the last. It is an {@link UnreadChunk} only if the context takes them. */
  readChunk(): Promise<StateChunk | UnreadChunk | undefined>;
  /**
   * Call it once, after the last chunk.
   * @returns what was read
   * @throws {SwingSnapError} `MODULE_STATE` if it is called too early, or twice
   * @throws {VerificationError} `HEIGHT_MISMATCH`, `HASH_MISMATCH` if the state does not match the context
   */
  done(): Promise<StateDescription>;
  /** Ends the transfer because of `error`. May be called at any time, and more than once. */
  abort(error: unknown): Promise<void>;
}

/** The receiver's side of a transfer. */
export interface ChunkedWritable<Written extends WrittenState = WrittenState> {
  /**
   * Takes a chunk. Calls may overlap; their chunks are taken in the order of the calls.
   * @throws {VerificationError} if this chunk or an earlier one is known to be wrong
   */
  writeChunk(chunk: StateChunk): Promise<void>;
  /**
   * Call it once, after the last chunk was taken. Returns when the state is complete, matches the context and is
   * durable; it is not visible yet.
   * @throws {VerificationError} if the state is incomplete or does not match; {@link SwingSnapError} `MODULE_STATE` if
   *   it is called twice
   */
  done(): Promise<Written>;
  /** Removes what was written, because of `error`. May be called until the state is installed, and more than once. */
  abort(error: unknown): Promise<void>;
}

export interface WrittenState {
  readonly description: StateDescription;
  /** Makes the state visible, atomically and durably. A failure changes nothing. */
  install(): Promise<InstalledState>;
}

export interface InstalledState {
  /** Where the state is; undefined if it was only read. */
  readonly path: string | undefined;
  /** Where the previous state was moved to, if it had to make room. */
  readonly movedTo?: string | undefined;
  /** The result, if it was compared with a state that exists. */
  readonly compared?: ComparedState | undefined;
  /** Undoes the installation, because another module could not be installed. */
  undo(): Promise<void>;
}

/** How a state compares with the place that holds it. */
export interface ComparedState {
  /** Number of artifacts that are equal. */
  readonly equal: number;
  /** Number of artifacts that only the place has. */
  readonly onlyThere: number;
}

/** Named entries that travel together. */
export interface StateChunk {
  readonly entries: readonly StateEntry[];
  /**
   * How any thread can read and check the contents of the wanted entries, one after the other, instead of by their `data`.
   * @param wanted says of each entry whether it is wanted
   */
  readonly contents?: (wanted: readonly boolean[]) => Promise<Recipe<Contents<CheckedContent>>>;
}

/** Artifacts for one chunk, which the thread that packs them reads. Each has one entry. */
export interface UnreadChunk {
  readonly artifacts: readonly UnreadArtifact[];
  /** Give their contents, one after the other. Call it again only if one had another size than it told. */
  recipes(): Promise<readonly Recipe<Contents<CheckedContent>>[]>;
  /** Call it with what they were; undefined for one that is not in the chunk, since it is too large. */
  wereRead(digests: readonly (ArtifactDigest | undefined)[]): void;
  /** Call it instead if they were not read. */
  failed(error: unknown): void;
}

export interface UnreadArtifact {
  /** Name of its entry. */
  readonly entry: string;
  readonly name: string;
  readonly identity: string;
  /** In bytes, if known without reading it. */
  readonly size: number | undefined;
}

/** The total size of entries, in bytes. */
export function bytesOfEntries(entries: readonly Pick<StateEntry, 'size'>[]): number {
  return entries.reduce((sum, { size }) => sum + size, 0);
}

export interface StateEntry {
  /** Its name, or how to make the name from the hash of its bytes. */
  readonly name: string | NameByHash;
  /**
   * Its bytes, which the receiver then owns; or a function that loads them, since a receiver may not need them, or may
   * have them already. Call the function at most once.
   */
  readonly data: Uint8Array | (() => Promise<Uint8Array>);
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the bytes, in hex, if known. */
  readonly sha256?: string | undefined;
  /** On the last (or only) entry of an artifact: the whole artifact. */
  readonly artifact?: StateArtifact | undefined;
}

/** A name made of `before`, the SHA-256 of the bytes, and `after`. */
export interface NameByHash {
  readonly before: string;
  readonly after: string;
}

/** A unit of a module's state, in one entry or several. */
export interface StateArtifact {
  /** Its name in the module; except in `swingset`, names ascend by {@link compareNames}. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
  /** Names the content: two artifacts of a module with the same identity hold the same bytes. */
  readonly identity: string;
}

/** What both sides know of the state, and the resources that they use. */
export interface StateContext {
  /** Height of the block that committed the state. */
  readonly height: number;
  /** If known. */
  readonly chainId?: string | undefined;
  /** Fields that the {@link StateDescription} must have, its hashes in particular, from a source the caller trusts. */
  readonly trusted?: Readonly<Record<string, unknown>> | undefined;
  /** Most raw bytes of an entry. */
  readonly chunkBytes: number;
  readonly scratchDir: string;
  readonly pool: WorkerPool;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadContext extends StateContext {
  /** What need not be read, if anything. */
  readonly held?: HeldState | undefined;
  /** Whether chunks may be {@link UnreadChunk}s: in version 2 of the format. */
  readonly takesUnread?: boolean | undefined;
}

/** What the receiver of the chunks has already, from an earlier height. */
export interface HeldState {
  /** The artifact with this identity and its entries, in order; undefined if it is not held. */
  artifact(module: string, identity: string): HeldArtifact | undefined;
  /**
   * Reuses the chunk of exactly these entries.
   * @returns whether it did; if so, the data of these entries is never loaded
   */
  take(entries: readonly EntryDigest[]): Promise<boolean>;
  /**
   * Keeps the earlier chunks that hold mostly artifacts of this state, in version 2 of the format. Afterwards, an artifact
   * is held only if it is kept, or in several entries.
   * @param wanted all artifacts that the state may have
   */
  keep(module: string, wanted: Iterable<ExpectedArtifact>): Promise<void>;
  /**
   * Makes an artifact of a kept chunk part of the new snapshot.
   * @returns false if no kept chunk has it under this name, though perhaps under another
   */
  use(module: string, artifact: ExpectedArtifact): boolean;
}

export interface HeldArtifact {
  readonly size: number;
  readonly sha256: string;
  readonly entries: readonly EntryDigest[];
}

/** Name, size in bytes and SHA-256 of an entry. */
export interface EntryDigest {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

/** Describes a state after all of it was read or written. */
export interface StateDescription {
  readonly height: number;
  /** Its fields in a manifest: plain data. All modules except `swingset` have {@link ModuleFields}. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** `swingset` only: the content hash of a snapshot without other modules. */
  readonly contentHash?: string | undefined;
  /** `swingset` only: unfinished SHA-256 of all lines of that hash; lines of other modules can follow. */
  readonly content?: Hash | undefined;
}

/** The fields of a module in a manifest. Sizes in bytes. */
export interface ModuleFields {
  readonly kind: string;
  /** See {@link ModuleHasher}. */
  readonly contentHash: string;
  readonly artifacts: { readonly count: number; readonly size: number };
}

/** Computes the fields of a module from its artifacts, in ascending order of their names. */
export class ModuleHasher {
  readonly #kind: string;
  readonly #hash = createHash('sha256');
  readonly #artifacts = { count: 0, size: 0 };

  constructor(kind: string) {
    this.#kind = kind;
    this.#line(['swingsnap-module', 1, kind]);
  }

  add({ name, size, sha256, identity }: StateArtifact): void {
    this.#line([name, size, sha256, identity]);
    this.#artifacts.count += 1;
    this.#artifacts.size += size;
  }

  #line(value: unknown): void {
    this.#hash.update(`${JSON.stringify(value)}\n`);
  }

  /** The fields for the artifacts added so far. */
  fields(): { kind: string; contentHash: string; artifacts: { count: number; size: number } } {
    const contentHash = this.#hash.copy().digest('hex');
    return { kind: this.#kind, contentHash, artifacts: { ...this.#artifacts } };
  }
}

/**
 * What was read so far is void: abort the transfer and begin again. The module now knows how to read its source, and
 * does not throw this twice.
 */
export class BeginAgainError extends Error {}

/** The rule for module names, for messages. */
export const MODULE_NAMES =
  'a lower-case letter and at most 31 lower-case letters, digits, - and _, but not constructor or prototype';

/**
 * Whether a module can have this name, which begins the names of entries and is a key in a manifest. Every object has a
 * `constructor`, and readers of JSON skip such keys: a module of that name would be written but never read.
 */
export function isModuleName(name: string): boolean {
  return /^(?!(?:constructor|prototype)$)[a-z][a-z0-9_-]{0,31}$/u.test(name);
}

/** The module that an entry belongs to. */
export function moduleOf(entryName: string): string {
  const [module = ''] = entryName.split('/', 1);
  return module;
}

/** The order of paths: by their UTF-8 bytes, with `/` before all others, so that a directory precedes its content. */
export function compareNames(a: string, b: string): number {
  const bytes = (name: string): Buffer => Buffer.from(name.replaceAll('/', '\0'));
  return Buffer.compare(bytes(a), bytes(b));
}

/**
 * For `done`: compares a state with the context.
 * @param what names it in errors
 * @throws {VerificationError} `HEIGHT_MISMATCH`, `HASH_MISMATCH`
 */
export function refuseOtherState(
  what: string,
  { height, trusted = {} }: Pick<StateContext, 'height' | 'trusted'>,
  description: StateDescription,
): void {
  if (description.height !== height) {
    throw new VerificationError('HEIGHT_MISMATCH', `the state of ${what} has the wrong height`, {
      expected: height,
      found: description.height,
    });
  }
  for (const [name, expected] of Object.entries(trusted)) {
    const found = description.fields[name];
    if (JSON.stringify(found) === JSON.stringify(expected)) continue;
    throw new VerificationError('HASH_MISMATCH', `the state of ${what} has the wrong ${name}`, {
      expected: plain(expected),
      found: plain(found),
    });
  }
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** For a transfer: the error for a step that is called out of order. */
export function outOfTurn(module: string, step: string): SwingSnapError {
  return new SwingSnapError('MODULE_STATE', `${step} was called out of order`, { path: module });
}

/** The error of a module that lacks this side. */
export function noSuchSide(module: string, side: 'read' | 'written'): UsageError {
  return new UsageError('MODULE_SIDE', `the module cannot be ${side}: it has no place`, {
    path: module,
  });
}
