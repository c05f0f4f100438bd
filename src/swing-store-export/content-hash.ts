/** The hash that identifies an export independently of its form; see "Hashes" in docs/snapshot-format.md. */
import { createHash, type Hash } from 'node:crypto';
import type { PresentArtifact } from './export-data/record-index.ts';

/**
 * SHA-256 over the meaning of an export: its height, its export data, and each artifact's name, size and SHA-256, in
 * canonical order. The input is lines of JSON, so that `docs/snapshot-format.md` can define it in one sentence.
 * Chunking and compression do not affect it.
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

  /** A copy of the hash state so far, for callers that add more lines. */
  lines(): Hash {
    return this.#hash.copy();
  }

  /** Hex digest of the lines so far. */
  digest(): string {
    return this.lines().digest('hex');
  }

  #line(value: unknown): void {
    this.#hash.update(`${JSON.stringify(value)}\n`);
  }
}

/** The content hash of an export, given all its artifacts. */
export function computeContentHash(
  height: number,
  exportDataHash: string,
  artifacts: Iterable<PresentArtifact>,
): string {
  const hasher = new ContentHasher(height, exportDataHash);
  for (const artifact of artifacts) hasher.add(artifact);
  return hasher.digest();
}
