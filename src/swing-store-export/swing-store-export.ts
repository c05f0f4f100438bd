/**
 * An export of a SwingStore, independent of its form. A form (live store, export directory, snapshot) opens as a
 * {@link SwingStoreExport}, is built through an {@link ExportSink}, or both. A transfer is one copy between two forms
 * (`copy-verified.ts`, `copy-unverified.ts`).
 *
 * An export is read in order: all of the export data, then the artifacts.
 */
import type { ProgressTotal } from '../io/progress.ts';
import type { Recipe } from '../io/threads/recipe.ts';
import type { ArtifactMode } from './artifact-mode.ts';

/** An export that can be read. The caller that opens it closes it. */
export interface SwingStoreExport {
  /** Its path, for messages. */
  readonly location: string;
  /** Height of the last committed block; 0 for a store without one. */
  readonly height: number;
  /** The mode that it was made with; undefined if the form does not record it (the node's Go side). */
  readonly artifactMode: ArtifactMode | undefined;
  /** The amount to read, as far as it is known in advance; for progress and free-space checks only. */
  estimate(part: 'export data' | 'artifacts'): ProgressTotal;

  /**
   * The export data in canonical order and text (see `export-data.ts`), as blocks of whole lines. A second call
   * reads it again.
   * @param options.scratchDir directory for a scratch file; if given, export data in any order is accepted and
   *   normalised
   * @throws {NotCanonicalError} if the order or text is not canonical and no scratch directory is given
   * @throws {VerificationError} if it is not export data
   */
  exportData(options?: { readonly scratchDir?: string }): AsyncIterable<Uint8Array>;

  /**
   * The artifacts. `data` must be read (or skipped) before the next one is requested, unless the artifact has a `visit`.
   * Artifacts of one visit follow one another.
   */
  artifacts(): AsyncIterable<ExportArtifact>;

  /** The hashes that the form claims for its content, to be compared with what was read. */
  readonly promised?: PromisedHashes;

  close(): Promise<void>;
}

/** Hashes that a form stores for its own content. */
export interface PromisedHashes {
  readonly exportDataHash: string;
  readonly operationalHash: string;
  /** Undefined if it covers more than this export. */
  readonly contentHash: string | undefined;
}

/** One artifact of an export, not yet read. */
export interface ExportArtifact {
  /** As spelled by the form; untrusted until parsed. */
  readonly name: string;
  /** Declared size in bytes and SHA-256 in hex, if the form declares them and checks them when it reads. */
  readonly declared?: DeclaredArtifact;
  /** Its size in bytes, as far as it is known without reading it. */
  readonly size?: number | undefined;
  /** Its bytes; can be read once. */
  data(): AsyncIterable<Uint8Array>;
  /** How to read it as a whole, with the artifacts that have the same visit. None if it is too large for that. */
  readonly visit?: ArtifactVisit | undefined;
}

/** Artifacts that a thread reads one after the other, for example all those of a chunk. */
export interface ArtifactVisit {
  /** Bytes of content that are in memory before the visit begins. */
  readonly held: number;
  /**
   * How to read them; call it once.
   * @param wanted says of each artifact whether it is wanted; others are skipped
   */
  recipe(wanted: readonly boolean[]): Promise<Recipe<Contents>>;
}

/**
 * Contents in turn, for one thread. One that turns out to be larger than {@link WHOLE_MAX_BYTES} is undefined. They may be
 * wrong as long as the iteration has not ended.
 */
export type Contents<Content extends WholeContent = WholeContent> =
  AsyncIterable<Content | undefined> | Iterable<Content | undefined>;

/** Maximum size in bytes of an artifact that is read as a whole. Larger ones are in memory only in pieces. */
export const WHOLE_MAX_BYTES = 64 * 1024 * 1024;

/** All of an artifact's content. The receiver owns the bytes and may transfer them. */
export interface WholeContent {
  readonly bytes: Uint8Array;
  /** If already computed. */
  readonly sha256?: string | undefined;
}

/** Content that matches its record, if it was checked. SHA-256 as hex. */
export interface CheckedContent extends WholeContent {
  readonly sha256: string;
}

/** Content that the sink already has (see {@link ExportSink.holds}). It can still read it if needed. */
export interface HeldContent {
  readonly digest: ArtifactDigest;
  /** Whether {@link read} may be called after later artifacts have been written. */
  readonly canWait: boolean;
  /** Reads and checks it. */
  read(): Promise<ReadContent>;
}

/** Content that has been read or is being read. */
export type ReadContent = AsyncIterable<Uint8Array> | WholeContent;

/** Content as a sink receives it. */
export type ArtifactContent = ReadContent | HeldContent;

/** Any content, in pieces. */
export async function* piecesOf(content: ArtifactContent): AsyncGenerator<Uint8Array> {
  const read = 'digest' in content ? await content.read() : content;
  if ('bytes' in read) yield read.bytes;
  else yield* read;
}

/** What a form declares about an artifact. */
export interface DeclaredArtifact extends ArtifactDigest {
  /** In the format of `artifactIdentity`; to be compared with the record. */
  readonly identity?: string;
}

/** Size in bytes and hex SHA-256 of an artifact's exported content. */
export interface ArtifactDigest {
  readonly size: number;
  readonly sha256: string;
}

/**
 * Builds an export. Calls come one at a time: the export data, then the artifacts, then `finish` or `abort`. Nothing
 * is visible before `finish`, and `abort` leaves nothing behind. `abort` may be called at any time, even after a
 * failed call.
 */
export interface ExportSink<Result> {
  /**
   * The digest of content that the sink already has, by identity, so that it need not be read. Called after the
   * export data has been written.
   */
  holds?(identity: string): ArtifactDigest | undefined;
  /** @param block whole lines; the sink owns the bytes */
  writeExportData(block: Uint8Array): Promise<void>;
  /**
   * Called with all artifacts that may come, after the export data has been written.
   * @param artifacts their names and identities
   */
  expect?(artifacts: Iterable<ExpectedArtifact>): Promise<void>;
  /**
   * Writes artifacts that any thread can read. Waits while the sink has enough to do.
   * @returns a promise of what they were
   */
  visit?(visit: Visit): Promise<Visited>;
  /** Called when no more visits follow; those that wait for others must begin now. */
  visited?(): Promise<void>;
  /**
   * Writes an artifact. The sink must read all pieces: the end of the iteration throws if the artifact is wrong.
   * @param identity of the content, from `artifactIdentity`; undefined in an unverified copy
   */
  writeArtifact(
    name: string,
    content: ArtifactContent,
    identity: string | undefined,
  ): Promise<void>;
  /** Makes the export durable and visible. */
  finish(summary: ExportSummary): Promise<Result>;
  abort(): Promise<void>;
}

/** The name of an artifact, and what identifies its content. */
export interface ExpectedArtifact {
  readonly name: string;
  readonly identity: string;
}

/** Artifacts for a sink, to be read by the thread that needs them. */
export interface Visit {
  readonly artifacts: readonly VisitedArtifact[];
  /** As {@link ArtifactVisit.held}. */
  readonly held: number;
  /** How to read and check them; call it once. Its bytes may be given away. */
  recipe(): Promise<Recipe<Contents<CheckedContent>>>;
}

export interface VisitedArtifact {
  readonly name: string;
  /** Undefined in an unverified copy. */
  readonly identity: string | undefined;
  /** In bytes, if known without reading it. */
  readonly size: number | undefined;
}

export interface Visited {
  /**
   * In the order of the artifacts. Undefined for one that was not written, since it is too large: it comes again, in
   * pieces.
   */
  readonly digests: Promise<readonly (ArtifactDigest | undefined)[]>;
}

/** Summary of a copy. Sizes in bytes, hashes as lower-case hex SHA-256. */
export interface ExportSummary {
  readonly height: number;
  readonly artifactMode: ArtifactMode;
  readonly exportData: { readonly entries: number; readonly size: number };
  readonly artifacts: { readonly count: number; readonly size: number };
  /** Only for a verified copy. */
  readonly hashes?: ExportHashes;
}

/** Hashes that identify an export independently of its form; see "Hashes" in docs/snapshot-format.md. */
export interface ExportHashes {
  readonly exportDataHash: string;
  readonly operationalHash: string;
  /** Undefined if artifacts outside the requested mode were neither read nor declared. */
  readonly contentHash: string | undefined;
}
