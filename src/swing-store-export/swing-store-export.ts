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

  /** The artifacts. `data` must be read (or skipped) before the next one is requested; `whole` works at any time. */
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
  /** Its bytes; can be read once. */
  data(): AsyncIterable<Uint8Array>;
  /** All of it at once, if it seems small enough. */
  readonly whole?: WholeArtifact;
}

/** An artifact that can be read as a whole, by any thread, concurrently with others. */
export interface WholeArtifact {
  /** Approximate size in bytes. */
  readonly size: number;
  /**
   * How to read it; call it once.
   * @returns undefined if it turns out to be larger than {@link WHOLE_MAX_BYTES}; use `data` then
   */
  recipe(): Promise<WholeRecipe | undefined>;
}

/** Gives the content of an artifact; undefined if it turns out to be too large. */
export interface WholeRecipe extends Recipe<WholeContent | undefined> {
  /** Bytes of the content, as far as known. A span has no more. */
  readonly size: number;
}

/** Maximum size in bytes of an artifact that is passed on as a whole. Larger ones are in memory only in pieces. */
export const WHOLE_MAX_BYTES = 16 * 1024 * 1024;

/** All of an artifact's content. The receiver owns the bytes and may transfer them. */
export interface WholeContent {
  readonly bytes: Uint8Array;
  /** If already computed. */
  readonly sha256?: string | undefined;
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
