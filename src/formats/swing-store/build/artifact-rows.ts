/** Makes of artifacts what the rows of a new SwingStore hold, in the thread that has read and checked them. */
import { follow } from '../../../io/threads/recipe.ts';
import { workerTask } from '../../../io/threads/task.ts';
import { canonicalNestedEvaluateBundle } from '../../../swing-store-export/bundle/check-bundle.ts';
import { parseArtifactName } from '../../../swing-store-export/names.ts';
import type { Made, VisitInput } from '../../../swing-store-export/visits.ts';
import { packWhole } from '../heap-blob.ts';
import { blobTooLarge, MAX_BLOB_BYTES } from '../layout.ts';

export interface RowOptions {
  /** Of the artifacts, in order. */
  readonly names: readonly string[];
  /** zlib level of heap snapshots, 1 to 9. */
  readonly gzipLevel: number;
}

/** What a row holds: the gzipped heap snapshot, the lines of the span, or the bundle. */
export interface ArtifactRow {
  readonly stored: Uint8Array | string;
}

export async function makeRows({
  contents,
  rest: { names, gzipLevel },
}: VisitInput<RowOptions>): Promise<readonly Made<ArtifactRow>[]> {
  const rows: Made<ArtifactRow>[] = [];
  for await (const content of await follow(contents)) {
    const name = names[rows.length] ?? '';
    if (content === undefined) {
      rows.push(undefined);
      continue;
    }
    const { bytes, sha256 } = content;
    const size = bytes.length;
    rows.push({ size, sha256, stored: storedOf(name, bytes, sha256, gzipLevel) });
  }
  return rows;
}

export const makingRows = workerTask(import.meta.url, makeRows);

function storedOf(
  name: string,
  bytes: Uint8Array,
  sha256: string,
  level: number,
): Uint8Array | string {
  const parsed = parseArtifactName(name);
  switch (parsed.kind) {
    case 'snapshot':
      return packWhole({ bytes, level });
    case 'transcript':
      return bytes;
    case 'bundle':
      if (bytes.length > MAX_BLOB_BYTES) throw blobTooLarge(name, bytes.length);
      return storedBundle(parsed.bundleID, bytes, sha256);
  }
}

/**
 * What a store keeps of a checked bundle: of a `b0-` bundle the text whose hash is its id.
 * @param sha256 of `bytes`, if known
 */
export function storedBundle(
  bundleID: string,
  bytes: Uint8Array,
  sha256: string | undefined,
): Uint8Array | string {
  if (!bundleID.startsWith('b0-')) return bytes;
  return sha256 !== undefined && bundleID === `b0-${sha256}`
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
    : canonicalNestedEvaluateBundle(bytes);
}

export function asBytes(stored: Uint8Array | string): Uint8Array {
  return typeof stored === 'string' ? Buffer.from(stored) : stored;
}
