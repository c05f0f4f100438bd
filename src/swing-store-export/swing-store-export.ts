/**
 * What an export of a SwingStore is, in no particular form. Every form (live store, export directory, snapshot)
 * opens as a {@link SwingStoreExport}, or is built through an {@link ExportSink}, or both; every command is one
 * copy between two forms (`copy-export.ts`).
 *
 * An export is read once, in order: the export data to its end, then the artifacts.
 */
import type { ProgressTotal } from '../io/progress.ts';
import type { ArtifactMode } from './artifact-mode.ts';

/** An export that can be read. Whoever opened it closes it. */
export interface SwingStoreExport {
  /** Where it is, for messages: a path. */
  readonly location: string;
  /** Height of the block whose commit this is; 0 for a store that saw none. */
  readonly height: number;
  /** The mode that it was made with; undefined where the form does not say (the node's Go side). */
  readonly artifactMode: ArtifactMode | undefined;
  /** How much there is to read, as far as that is known without reading it; for progress and free space only. */
  estimate(part: 'export data' | 'artifacts'): ProgressTotal;

  /**
   * The export data in canonical order and text (see `export-data.ts`), as blocks of whole lines. May be called
   * again to read it anew.
   * @param options.scratchDir where to put a scratch file: with it, export data in any order is accepted
   *   and normalised
   * @throws {NotCanonicalError} if it is in another order or text and no scratch directory is given
   * @throws {VerificationError} if it is no export data
   */
  exportData(options?: { readonly scratchDir?: string }): AsyncIterable<Uint8Array>;

  /** The artifacts, each to be read by `data` (or left) before the next is asked for, and by `whole` at any time. */
  artifacts(): AsyncIterable<ExportArtifact>;

  /** What the form itself promises of its content, to be held against what was read. */
  readonly promised?: PromisedHashes;

  close(): Promise<void>;
}

/** Hashes that a form carries of its own content. */
export interface PromisedHashes {
  readonly exportDataHash: string;
  readonly operationalHash: string;
  /** Undefined where it covers more than this export. */
  readonly contentHash: string | undefined;
}

/** One artifact of an export, not yet read. */
export interface ExportArtifact {
  /** As the form spells it; hostile until parsed. */
  readonly name: string;
  /** Declared size in bytes and SHA-256 in hex, where the form declares them and checks them on reading. */
  readonly declared?: DeclaredArtifact;
  /** Its bytes, once. */
  data(): AsyncIterable<Uint8Array>;
  /** Where it seems to be small enough: all of it at once. */
  readonly whole?: WholeArtifact;
}

/** An artifact that can be read as a whole while others are. */
export interface WholeArtifact {
  /** About how many bytes it has. */
  readonly size: number;
  /** @returns undefined if it is larger than {@link WHOLE_MAX_BYTES} after all; `data` then gives it */
  load(): Promise<WholeContent | undefined>;
}

/** Bytes of an artifact that is handed on as a whole, at most; of larger ones, only pieces are in memory. */
export const WHOLE_MAX_BYTES = 16 * 1024 * 1024;

/** All of an artifact's content; whoever gets the bytes may give them away. */
export interface WholeContent {
  readonly bytes: Uint8Array;
  /** Where it has been computed already. */
  readonly sha256?: string | undefined;
}

/** Content that the sink holds already (see {@link ExportSink.holds}), and can have again if it finds it needs it. */
export interface HeldContent {
  readonly digest: ArtifactDigest;
  /** Whether {@link read} may be called when later artifacts are written already. */
  readonly canWait: boolean;
  /** Reads and checks it after all. */
  read(): Promise<ReadContent>;
}

/** Content that was or is being read. */
export type ReadContent = AsyncIterable<Uint8Array> | WholeContent;

/** Content as a sink gets it. */
export type ArtifactContent = ReadContent | HeldContent;

/** Content in pieces, however it comes. */
export async function* piecesOf(content: ArtifactContent): AsyncGenerator<Uint8Array> {
  const read = 'digest' in content ? await content.read() : content;
  if ('bytes' in read) yield read.bytes;
  else yield* read;
}

/** What a form says of an artifact. */
export interface DeclaredArtifact extends ArtifactDigest {
  /** As `artifactIdentity` names content; to be held against the record. */
  readonly identity?: string;
}

/** Size in bytes and SHA-256, as hex, of an artifact's exported content. */
export interface ArtifactDigest {
  readonly size: number;
  readonly sha256: string;
}

/**
 * What an export is built through. Calls come one at a time: the export data, then the artifacts, then `finish` or
 * `abort`. Nothing of it is visible before `finish` and nothing is left after `abort`, which may be called at any
 * moment, also after a call that failed.
 */
export interface ExportSink<Result> {
  /**
   * The digest of content that the sink has from elsewhere, by its identity: it need not be read. Asked once the
   * export data has been written.
   */
  holds?(identity: string): ArtifactDigest | undefined;
  /** A block of whole lines, whose bytes are given away. */
  writeExportData(block: Uint8Array): Promise<void>;
  /**
   * Takes an artifact. Pieces are to be read to their end, which throws if the artifact turns out to be wrong.
   * @param identity names the content, as `artifactIdentity` does; undefined in an unverified copy
   */
  writeArtifact(
    name: string,
    content: ArtifactContent,
    identity: string | undefined,
  ): Promise<void>;
  /** Makes what was written durable and visible. */
  finish(summary: ExportSummary): Promise<Result>;
  abort(): Promise<void>;
}

/** What was copied. Sizes in bytes, hashes as lower-case hex SHA-256. */
export interface ExportSummary {
  readonly height: number;
  readonly artifactMode: ArtifactMode;
  readonly exportData: { readonly entries: number; readonly size: number };
  readonly artifacts: { readonly count: number; readonly size: number };
  /** Only of a verified copy. */
  readonly hashes?: ExportHashes;
}

/** Hashes that name an export whatever its form; see DESIGN, "Hashes". */
export interface ExportHashes {
  readonly exportDataHash: string;
  readonly operationalHash: string;
  /** Undefined when artifacts beyond the asked mode were left unread and are not declared. */
  readonly contentHash: string | undefined;
}
