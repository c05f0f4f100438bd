/** Entry names and cut sizes of the module `swingset`; see `docs/snapshot-format.md`. */
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

/** The SHA-256 of its bytes names the entry of an export-data segment. */
export const SEGMENT_NAME: NameByHash = { before: SEGMENT_PREFIX, after: '.jsonl' };

/**
 * Name of the entry of an export-data segment, by the SHA-256 of the segment's bytes.
 * @param part number of the part if the segment is one line too long for a chunk, else undefined
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
 * @param part number of the part if the artifact is split, else undefined. The names of a transcript span's parts have
 *   only its start, so that a span that has grown keeps its earlier parts.
 */
export function artifactEntryName(artifact: ArtifactName, part: number | undefined): string {
  if (part === undefined) return ARTIFACT_PREFIX + formatArtifactName(artifact);
  const stem =
    artifact.kind === 'transcript'
      ? `transcript.${artifact.vatID}.${artifact.startPos}`
      : formatArtifactName(artifact);
  return `${ARTIFACT_PREFIX}${stem}/${partNumber(part)}`;
}
