/** Names of the entries of the module `swingset`, and where they are cut; see `docs/snapshot-format.md`. */
import type { NameByHash } from '../../snapshot/module-contract.ts';
import { formatArtifactName, type ArtifactName } from '../../swing-store-export/names.ts';
import { partNumber } from '../kit/group.ts';

export const SWINGSET = 'swingset';

const KIB = 1024;

/** Export-data segments aim at 1 MiB. */
export const SEGMENT_MIN_BYTES = 512 * KIB;
export const SEGMENT_MEAN_REST_BYTES = 512 * KIB;
export const SEGMENT_MAX_BYTES = 2 * KIB * KIB;

const SEGMENT_PREFIX = `${SWINGSET}/export-data/`;
const ARTIFACT_PREFIX = `${SWINGSET}/artifacts/`;

/** The entry of an export-data segment is named by the SHA-256 of its bytes. */
export const SEGMENT_NAME: NameByHash = { before: SEGMENT_PREFIX, after: '.jsonl' };

/**
 * Name of the entry of an export-data segment, by the SHA-256 of the segment's bytes.
 * @param part number of the part where the segment is one line too long for a chunk, else undefined
 */
export function segmentEntryName(sha256: string, part: number | undefined): string {
  const stem = SEGMENT_PREFIX + sha256;
  return part === undefined ? stem + SEGMENT_NAME.after : `${stem}/${partNumber(part)}`;
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
      ? `transcript.${artifact.vatID}.${artifact.startPos}`
      : formatArtifactName(artifact);
  return `${ARTIFACT_PREFIX}${stem}/${partNumber(part)}`;
}
