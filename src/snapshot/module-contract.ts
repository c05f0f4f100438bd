/**
 * The contract of a module: one kind of state that a node keeps outside the Cosmos multistore, with its own reader and
 * writer. Names and steps are those of the "Cosmos External State Sync" proposal
 * (https://hackmd.io/@michaelfig/ExternalStateSync); what it calls `sdk.Context` is {@link StateContext} here.
 *
 * - sender: `beginReadState` gives a {@link ChunkedReadable}: `readChunk` until there is none, then `done`
 * - receiver: `beginWriteState` gives a {@link ChunkedWritable}: `writeChunk` for each, `done`, then `install`
 *
 * Either side may be ended by `abort` at any moment before `install`, and nothing is left then. Modules of one snapshot
 * are driven concurrently. Their driver (`src/snapshot`) packs chunks, and knows nothing of what is in them.
 * Every module passes `test/contract/module.ts`.
 */
import { createHash, type Hash } from 'node:crypto';
import { SwingSnapError, UsageError, VerificationError } from '../errors.ts';
import type { Progress } from '../io/progress.ts';
import type { WorkerPool } from '../io/threads/pool.ts';

/** @typeParam Written what its writer gives back when it is done */
export interface StateModule<Written extends WrittenState = WrittenState> {
  /** What it is called in a snapshot: {@link isModuleName}. Names of its entries begin with it and a `/`. */
  readonly name: string;
  /** Which registered kind of module it is of. */
  readonly kind: string;
  /**
   * Whether its chunks may be written in any order, but that those with parts of one artifact stay together; else they
   * come in the order in which they were read.
   */
  readonly anyOrder: boolean;
  /**
   * When its state is installed: `first` what is named by its content, and does no harm if the rest is missing; `last`
   * what a node takes for complete once it is there.
   */
  readonly installs: 'first' | 'between' | 'last';
  /** @throws {SwingSnapError} if there is nothing to read */
  beginReadState(context: ReadContext): Promise<ChunkedReadable>;
  /** @throws {SwingSnapError} if it is known already that the state cannot be installed */
  beginWriteState(context: StateContext): Promise<ChunkedWritable<Written>>;
}

/** The sender's side of a transfer. Calls come one at a time. */
export interface ChunkedReadable {
  /** The next chunk; undefined when there is no other. */
  readChunk(): Promise<StateChunk | undefined>;
  /**
   * To be called once, after the last chunk.
   * @returns what was read
   * @throws {SwingSnapError} `MODULE_STATE` if it is called too early, or twice
   * @throws {VerificationError} `HEIGHT_MISMATCH`, `HASH_MISMATCH` if it is not what the context says
   */
  done(): Promise<StateDescription>;
  /** Ends the transfer because of `error`; may be called again, and after anything. */
  abort(error: unknown): Promise<void>;
}

/** The receiver's side of a transfer. */
export interface ChunkedWritable<Written extends WrittenState = WrittenState> {
  /**
   * Takes a chunk. Several calls may be under way; their chunks are taken in the order of the calls.
   * @throws {VerificationError} if the chunk, or one before it, is known to be wrong
   */
  writeChunk(chunk: StateChunk): Promise<void>;
  /**
   * To be called once, after the last chunk was taken. Returns if the state is complete, is what the context says, and
   * is durable; it is not visible yet.
   * @throws {VerificationError} if it is not; {@link SwingSnapError} `MODULE_STATE` if it is called twice
   */
  done(): Promise<Written>;
  /** Removes what was written, because of `error`; may be called again, and until it is installed. */
  abort(error: unknown): Promise<void>;
}

export interface WrittenState {
  readonly description: StateDescription;
  /** Makes the state visible, at once and durably. On failure everything is as it was. */
  install(): Promise<InstalledState>;
}

export interface InstalledState {
  /** Where it is; undefined if it was only looked at. */
  readonly path: string | undefined;
  /** Where what was there before is, if it had to go. */
  readonly movedTo?: string | undefined;
  /** If it was compared with what is there. */
  readonly compared?: ComparedState | undefined;
  /** Takes it back, because another module could not be installed. */
  undo(): Promise<void>;
}

/** How a place and a state that it holds relate. */
export interface ComparedState {
  /** Number of artifacts that are equal. */
  readonly equal: number;
  /** Number of further ones that only the place has. */
  readonly onlyThere: number;
}

/** Some named entries that are carried together. */
export interface StateChunk {
  readonly entries: readonly StateEntry[];
}

/** Bytes of all entries. */
export function bytesOfEntries(entries: readonly Pick<StateEntry, 'size'>[]): number {
  return entries.reduce((sum, { size }) => sum + size, 0);
}

export interface StateEntry {
  /** Its name, or how the hash of its bytes names it. */
  readonly name: string | NameByHash;
  /**
   * Its bytes, which are given away; or where to get them: a receiver on the other side may not want them, or have
   * them already. To be got once.
   */
  readonly data: Uint8Array | (() => Promise<Uint8Array>);
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the bytes, in hex, where it is known. */
  readonly sha256?: string | undefined;
  /** On the last, or only, entry of an artifact: all of it. */
  readonly artifact?: StateArtifact | undefined;
}

/** A name that is `before`, the SHA-256 of the bytes, and `after`. */
export interface NameByHash {
  readonly before: string;
  readonly after: string;
}

/** A thing that a module carries in one entry or in several. */
export interface StateArtifact {
  /** What the module calls it; ascending in {@link compareNames} in a module other than `swingset`. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
  /** Names the content: two artifacts of one module and identity hold the same bytes. */
  readonly identity: string;
}

/** What both sides are told of the state, and what they work with. */
export interface StateContext {
  /** Height of the block whose commit the state is of. */
  readonly height: number;
  /** Where it is known. */
  readonly chainId?: string | undefined;
  /**
   * Fields that the {@link StateDescription} must have, its hashes in particular, from a source that the caller
   * trusts.
   */
  readonly trusted?: Readonly<Record<string, unknown>> | undefined;
  /** Raw bytes of an entry at most. */
  readonly chunkBytes: number;
  readonly scratchDir: string;
  readonly pool: WorkerPool;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadContext extends StateContext {
  /** What need not be read, if there is something. */
  readonly held?: HeldState | undefined;
}

/** What the receiver of the chunks has already, from an earlier height. */
export interface HeldState {
  /** The entries of the artifact of an identity, in order; undefined if there is no such artifact. */
  artifact(module: string, identity: string): HeldArtifact | undefined;
  /**
   * Takes a chunk of exactly these entries over.
   * @returns whether it did: the data of a chunk of them is then never asked for
   */
  take(entries: readonly EntryDigest[]): Promise<boolean>;
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

/** What a state is, once all of it has passed by. */
export interface StateDescription {
  readonly height: number;
  /** What a manifest says of it: plain data. All modules but `swingset` have {@link ModuleFields}. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Only `swingset`: the content hash of a snapshot that holds nothing else. */
  readonly contentHash?: string | undefined;
  /** Only `swingset`: SHA-256, not ended, of all lines of that hash, for those of other modules to follow. */
  readonly content?: Hash | undefined;
}

/** What a manifest says of a module. Sizes in bytes. */
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

  /** What was added so far. */
  fields(): { kind: string; contentHash: string; artifacts: { count: number; size: number } } {
    const contentHash = this.#hash.copy().digest('hex');
    return { kind: this.#kind, contentHash, artifacts: { ...this.#artifacts } };
  }
}

/**
 * What was read so far is void: the transfer must be aborted, and begun again. The module has learnt how it must be
 * read, and does not throw this twice.
 */
export class BeginAgainError extends Error {}

/** What a module can be called, for messages. */
export const MODULE_NAMES =
  'a small letter and at most 31 small letters, digits, - and _, but not constructor or prototype';

/**
 * Whether a module can have this name: it begins the names of entries, and is a key in a manifest. Every object has a
 * `constructor`, and readers of JSON pass over such keys: what has that name would be written and never read.
 */
export function isModuleName(name: string): boolean {
  return /^(?!(?:constructor|prototype)$)[a-z][a-z0-9_-]{0,31}$/u.test(name);
}

/** The module that an entry belongs to. */
export function moduleOf(entryName: string): string {
  const [module = ''] = entryName.split('/', 1);
  return module;
}

/** The order of paths: by the bytes of their UTF-8, where `/` comes before all others: a directory, then what is in it. */
export function compareNames(a: string, b: string): number {
  const bytes = (name: string): Buffer => Buffer.from(name.replaceAll('/', '\0'));
  return Buffer.compare(bytes(a), bytes(b));
}

/**
 * For `done`: holds a state against what the context says of it.
 * @param what names it in errors
 * @throws {VerificationError} `HEIGHT_MISMATCH`, `HASH_MISMATCH`
 */
export function refuseOtherState(
  what: string,
  { height, trusted = {} }: Pick<StateContext, 'height' | 'trusted'>,
  description: StateDescription,
): void {
  if (description.height !== height) {
    throw new VerificationError('HEIGHT_MISMATCH', `the state of ${what} is of another height`, {
      expected: height,
      found: description.height,
    });
  }
  for (const [name, expected] of Object.entries(trusted)) {
    const found = description.fields[name];
    if (JSON.stringify(found) === JSON.stringify(expected)) continue;
    throw new VerificationError('HASH_MISMATCH', `the state of ${what} has another ${name}`, {
      expected: plain(expected),
      found: plain(found),
    });
  }
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What a transfer throws when a step of it is taken out of its turn. */
export function outOfTurn(module: string, step: string): SwingSnapError {
  return new SwingSnapError('MODULE_STATE', `${step} was called out of its turn`, { path: module });
}

/** What a module throws that has no such side. */
export function noSuchSide(module: string, side: 'read' | 'written'): UsageError {
  return new UsageError('MODULE_SIDE', `the module cannot be ${side}: it was given no place`, {
    path: module,
  });
}
