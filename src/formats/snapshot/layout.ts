/**
 * Names, sizes and limits of the snapshot format, version 1; `docs/snapshot-format.md` is its specification.
 */
import { VerificationError } from '../../errors.ts';
import { formatArtifactName, type ArtifactName } from '../../swing-store-export/names.ts';

export const MANIFEST_FILE = 'manifest.json';
export const ENTRIES_FILE = 'entries.jsonl.zst';
export const CHUNKS_DIR = 'chunks';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Raw bytes of an entry, and of a chunk of several, at most: `--chunk-size`. */
export const DEFAULT_CHUNK_BYTES = 16 * MIB;
export const MIN_CHUNK_BYTES = 4 * MIB;
export const MAX_CHUNK_BYTES = 64 * MIB;
/** Artifacts of this size and more have chunks of their own; a chunk of smaller ones aims at 2 MiB. */
export const GROUP_MIN_BYTES = MIB;
export const GROUP_MEAN_REST_BYTES = MIB;
export const GROUP_MAX_BYTES = 4 * MIB;
/** Export-data segments aim at 1 MiB. */
export const SEGMENT_MIN_BYTES = 512 * KIB;
export const SEGMENT_MEAN_REST_BYTES = 512 * KIB;
export const SEGMENT_MAX_BYTES = 2 * MIB;
/** Parts of an artifact or of a segment at most: 64 GiB of the smallest. A reader keeps a list of them. */
export const MAX_PARTS = 16_384;
/** Entries of one chunk at most, so that a list of hostile length cannot fill the memory. */
export const MAX_CHUNK_ENTRIES = 16_384;

/** Limits of what a reader takes into memory at once. */
export const MAX_MANIFEST_BYTES = MIB;
export const MAX_CHUNK_FILE_BYTES = MAX_CHUNK_BYTES + 2 * MIB;
/** Longest frame of `entries.jsonl.zst`, compressed and raw. */
export const MAX_ENTRIES_FRAME_BYTES = 4 * MIB;
export const MAX_ENTRIES_FRAME_RAW_BYTES = 2 * MIB;

const SEGMENT_PREFIX = 'swingset/export-data/';
const ARTIFACT_PREFIX = 'swingset/artifacts/';

/** File of a chunk, by the SHA-256 of its bytes. */
export function chunkFile(sha256: string): string {
  return `${CHUNKS_DIR}/${sha256}.tar.zst`;
}

/**
 * Name of the entry of an export-data segment, by the SHA-256 of the segment's bytes.
 * @param part number of the part where the segment is one line too long for a chunk, else undefined
 */
export function segmentEntryName(sha256: string, part: number | undefined): string {
  const stem = SEGMENT_PREFIX + sha256;
  return part === undefined ? `${stem}.jsonl` : `${stem}/${partNumber(part)}`;
}

/** Whether an entry is an export-data segment. */
export function isSegmentEntry(name: string): boolean {
  return name.startsWith(SEGMENT_PREFIX);
}

/**
 * Name of an artifact's entry.
 * @param part number of the part where the artifact is split, else undefined. Parts of a transcript span are named
 *   by its start alone, so that a span which has grown keeps its earlier parts.
 */
export function artifactEntryName(artifact: ArtifactName, part: number | undefined): string {
  if (part === undefined) return ARTIFACT_PREFIX + formatArtifactName(artifact);
  const stem =
    artifact.kind === 'transcript'
      ? `transcript.${artifact.vatID}.${String(artifact.startPos)}`
      : formatArtifactName(artifact);
  return `${ARTIFACT_PREFIX}${stem}/${partNumber(part)}`;
}

function partNumber(part: number): string {
  return String(part).padStart(6, '0');
}

/** Directory name of the snapshot at a height. */
export function snapshotName(height: number): string {
  return String(height);
}

/** The height that a directory name stands for, or undefined if it is not a snapshot's. */
export function heightOfName(name: string): number | undefined {
  const height = Number(name);
  return Number.isSafeInteger(height) && height >= 0 && String(height) === name
    ? height
    : undefined;
}

/** @throws {VerificationError} `SNAPSHOT_DAMAGED`, always */
export function damaged(
  message: string,
  facts: {
    path?: string | undefined;
    expected?: string | number | undefined;
    found?: string | number | undefined;
    hint?: string;
    cause?: unknown;
  },
): never {
  throw new VerificationError('SNAPSHOT_DAMAGED', message, {
    hint: 'get the snapshot again, or another one',
    ...facts,
  });
}

/**
 * What a codec found wrong, with the file that it cannot know.
 * @param what names the file in words
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` for errors of content without a path, any other as it is
 */
export function refuseUnreadable(cause: unknown, what: string, path: string): never {
  if (!(cause instanceof VerificationError) || cause.path !== undefined) throw cause;
  const { message, expected, found } = cause;
  return damaged(`${what} cannot be read: ${message}`, { path, expected, found, cause });
}
