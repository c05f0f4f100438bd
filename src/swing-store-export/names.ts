/**
 * Names of artifacts. They become file names and tar entries, so whatever comes from a manifest, a database or an
 * archive is hostile until {@link parseArtifactName} has taken it apart.
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

/** What an artifact's name says. */
export type ArtifactName = HeapSnapshotName | TranscriptSpanName | BundleName;

/** The Go side's name for a copy of the export data that nothing vouches for. */
export const UNTRUSTED_EXPORT_DATA = 'UNTRUSTED-EXPORT-DATA';

// Names are file names: 255 bytes is what common file systems take, and temporary names need some of them.
const MAX_ID_BYTES = 200;
const UNSAFE_IN_ID = /[\s\p{Control}\p{Surrogate}/\\.]/u;

/** Whether a vat id or bundle id can be a part of a file name: {@link parseArtifactName} takes no other. */
export function isSafeID(id: string): boolean {
  return id !== '' && !UNSAFE_IN_ID.test(id) && Buffer.byteLength(id) <= MAX_ID_BYTES;
}

/** The number that `text` spells in the one way that the reference spells it, or undefined. */
function parsePosition(text: string): number | undefined {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= 0 && String(value) === text ? value : undefined;
}

/**
 * Takes an artifact name apart.
 * @throws {VerificationError} `ARTIFACT_NAME` if it is not a name that the reference exporter would give, or holds
 *   an id that could leave a directory or break a list of names: `/`, `\`, `.`, white space, control characters,
 *   half a surrogate pair, or more than 200 bytes
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
      'snapshot.<vatID>.<pos>, transcript.<vatID>.<start>.<end> or bundle.<bundleID>, with ids that hold no "/", "\\", "." or white space',
    found: JSON.stringify(name),
  });
}

/** The name of an artifact, as the reference exporter spells it. */
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
