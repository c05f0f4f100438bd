/**
 * Names, sizes and limits of the snapshot format, versions 1 and 2; `docs/snapshot-format.md` is its specification.
 */
import { VerificationError, type ErrorFacts } from '../errors.ts';

export const MANIFEST_FILE = 'manifest.json';
export const ENTRIES_FILE = 'entries.jsonl.zst';
export const CHUNKS_DIR = 'chunks';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Most raw bytes of an entry, and of a chunk of several: `--chunk-size`. */
export const DEFAULT_CHUNK_BYTES = 16 * MIB;
export const MIN_CHUNK_BYTES = 4 * MIB;
export const MAX_CHUNK_BYTES = 64 * MIB;
/**
 * Most raw bytes of a chunk of artifacts that are packed together, in version 2: eight heap snapshots of the usual size
 * and more. A reader has one entry of it in memory, and the window.
 */
export const MAX_SHARED_CHUNK_BYTES = 256 * MIB;
/** Most entries of a chunk, so that a list of hostile length cannot exhaust memory. */
export const MAX_CHUNK_ENTRIES = 16_384;

/** Most modules of a snapshot: each has a reader of its own, which goes through the whole list of entries. */
export const MAX_MODULES = 16;
/** Most UTF-16 units of an entry's name, and of an artifact's name and identity. */
export const MAX_NAME_UNITS = 1024;

/** Limits on what a reader holds in memory at once. */
export const MAX_MANIFEST_BYTES = MIB;
/** Longest frame of `entries.jsonl.zst`, compressed and raw. */
export const MAX_ENTRIES_FRAME_BYTES = 4 * MIB;
export const MAX_ENTRIES_FRAME_RAW_BYTES = 2 * MIB;

/** Versions of the format that this program reads. */
export const FORMAT_VERSIONS = [1, 2] as const;

export type FormatVersion = (typeof FORMAT_VERSIONS)[number];

/** Most raw bytes of a chunk. */
export function maxChunkBytes(version: FormatVersion): number {
  return version === 1 ? MAX_CHUNK_BYTES : MAX_SHARED_CHUNK_BYTES;
}

/** Most bytes of a chunk's file. */
export function maxChunkFileBytes(version: FormatVersion): number {
  return maxChunkBytes(version) + 2 * MIB;
}

/** File of a chunk, by the SHA-256 of its bytes. */
export function chunkFile(sha256: string): string {
  return `${CHUNKS_DIR}/${sha256}.tar.zst`;
}

/** Directory name of the snapshot at a height. */
export function snapshotName(height: number): string {
  return String(height);
}

/** The height in a snapshot directory's name; undefined for any other name. */
export function heightOfName(name: string): number | undefined {
  const height = Number(name);
  return Number.isSafeInteger(height) && height >= 0 && String(height) === name
    ? height
    : undefined;
}

/** The heights among directory names, highest first. */
export function heightsAmong(names: readonly string[]): number[] {
  return names
    .map(heightOfName)
    .filter((height) => height !== undefined)
    .sort((a, b) => b - a);
}

/** @throws {VerificationError} `SNAPSHOT_DAMAGED`, always */
export function damaged(message: string, facts: ErrorFacts): never {
  throw new VerificationError('SNAPSHOT_DAMAGED', message, {
    hint: 'get the snapshot again, or use another one',
    ...facts,
  });
}

/**
 * Adds the file's path, which the codec does not know, to a codec's error.
 * @param what names the file in words
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` for a content error without a path; rethrows any other error
 */
export function refuseUnreadable(cause: unknown, what: string, path: string): never {
  if (!(cause instanceof VerificationError) || cause.path !== undefined) throw cause;
  const { message, expected, found } = cause;
  return damaged(`${what} cannot be read: ${message}`, { path, expected, found, cause });
}
