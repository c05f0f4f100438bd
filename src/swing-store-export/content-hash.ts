/** The hash that names an export whatever its form; see DESIGN, "Hashes". */
import { createHash, type Hash } from 'node:crypto';
import type { PresentArtifact } from './export-data/record-index.ts';

/**
 * SHA-256 over what an export means: its height, its export data, and each artifact's name, size and SHA-256, in
 * canonical order; as lines of JSON, so that `docs/snapshot-format.md` can give it in one sentence. How it was cut
 * or compressed has no part in it.
 */
export class ContentHasher {
  readonly #hash = createHash('sha256');

  constructor(height: number, exportDataHash: string) {
    this.#line(['swingsnap-content', 1, height]);
    this.#line(['swingset', 'export-data', exportDataHash]);
  }

  /** Adds the next artifact. */
  add({ name, size, sha256 }: PresentArtifact): void {
    this.#line(['swingset', name, size, sha256]);
  }

  /** The hash of the lines so far, for whoever adds others. */
  lines(): Hash {
    return this.#hash.copy();
  }

  /** Of the lines so far. */
  digest(): string {
    return this.lines().digest('hex');
  }

  #line(value: unknown): void {
    this.#hash.update(`${JSON.stringify(value)}\n`);
  }
}

/** The content hash of an export of which all artifacts are at hand. */
export function computeContentHash(
  height: number,
  exportDataHash: string,
  artifacts: Iterable<PresentArtifact>,
): string {
  const hasher = new ContentHasher(height, exportDataHash);
  for (const artifact of artifacts) hasher.add(artifact);
  return hasher.digest();
}
