/**
 * Names of artifacts. They become file names and tar entries, so a name from a manifest, a database or an archive is
 * untrusted until {@link parseArtifactName} has parsed it.
 */
import { VerificationError } from '../errors.ts';

export interface HeapSnapshotName {
  readonly kind: 'snapshot';
  readonly vatID: string;
  /** Number of deliveries before the heap snapshot was taken. */
  readonly snapPos: number;
}

export interface TranscriptSpanName {
  readonly kind: 'transcript';
  readonly vatID: string;
  /** Position of the first item. */
  readonly startPos: number;
  /** Position after the last item. */
  readonly endPos: number;
}

export interface BundleName {
  readonly kind: 'bundle';
  readonly bundleID: string;
}

/** A parsed artifact name. */
export type ArtifactName = HeapSnapshotName | TranscriptSpanName | BundleName;

/** The Go side's name for a copy of the export data that has not been validated. */
export const UNTRUSTED_EXPORT_DATA = 'UNTRUSTED-EXPORT-DATA';

// Names are file names: common file systems allow 255 bytes, and temporary names need some of them.
const MAX_ID_BYTES = 200;
const UNSAFE_IN_ID = /[\s\p{Control}\p{Surrogate}/\\.]/u;

/** Whether a vat id or bundle id can be part of a file name. {@link parseArtifactName} accepts no other ids. */
export function isSafeID(id: string): boolean {
  return id !== '' && !UNSAFE_IN_ID.test(id) && Buffer.byteLength(id) <= MAX_ID_BYTES;
}

/** The number in `text`, or undefined if the reference would not spell it exactly so. */
function parsePosition(text: string): number | undefined {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= 0 && String(value) === text ? value : undefined;
}

/**
 * Parses an artifact name.
 * @throws {VerificationError} `ARTIFACT_NAME` if the reference exporter would not produce the name, or an id in it
 *   could escape a directory or break a list of names: `/`, `\`, `.`, white space, control characters, a lone
 *   surrogate, or more than 200 bytes
 */
export function parseArtifactName(name: string): ArtifactName {
  const [kind, ...parts] = name.split('.');
  const [id = '', first = '', second = ''] = parts;
  if (isSafeID(id)) {
    if (kind === 'bundle' && parts.length === 1) return { kind, bundleID: id };
    const start = parsePosition(first);
    if (kind === 'snapshot' && parts.length === 2 && start !== undefined) {
      return { kind, vatID: id, snapPos: start };
    }
    const end = parsePosition(second);
    if (kind === 'transcript' && parts.length === 3 && start !== undefined && end !== undefined) {
      return { kind, vatID: id, startPos: start, endPos: end };
    }
  }
  throw new VerificationError('ARTIFACT_NAME', `not an artifact name: ${JSON.stringify(name)}`, {
    expected:
      'snapshot.<vatID>.<pos>, transcript.<vatID>.<start>.<end> or bundle.<bundleID>, with ids that contain no "/", "\\", "." or white space',
    found: JSON.stringify(name),
  });
}

/** An artifact name as the reference exporter spells it. */
export function formatArtifactName(name: ArtifactName): string {
  switch (name.kind) {
    case 'snapshot':
      return `snapshot.${name.vatID}.${name.snapPos}`;
    case 'transcript':
      return `transcript.${name.vatID}.${name.startPos}.${name.endPos}`;
    case 'bundle':
      return `bundle.${name.bundleID}`;
  }
}
