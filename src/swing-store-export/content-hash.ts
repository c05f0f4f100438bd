/** The hash that names an export whatever its form; see DESIGN, "Hashes". */
import { createHash } from 'node:crypto';
import type { PresentArtifact } from './record-index.ts';

/**
 * SHA-256 over what an export means: its height, its export data, and each artifact's name, size and SHA-256, in
 * canonical order; as lines of JSON, so that `docs/snapshot-format.md` can give it in one sentence. How it was cut
 * or compressed has no part in it.
 */
export function computeContentHash(
  height: number,
  exportDataHash: string,
  artifacts: Iterable<PresentArtifact>,
): string {
  const hash = createHash('sha256');
  const line = (value: unknown): void => {
    hash.update(`${JSON.stringify(value)}\n`);
  };
  line(['swingsnap-content', 1, height]);
  line(['swingset', 'export-data', exportDataHash]);
  for (const { name, size, sha256 } of artifacts) line(['swingset', name, size, sha256]);
  return hash.digest('hex');
}
