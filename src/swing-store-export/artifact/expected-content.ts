/** What an artifact's record says about its content. */
export type ExpectedContent =
  | { readonly kind: 'snapshot'; readonly hash: string }
  | {
      readonly kind: 'transcript';
      readonly hash: string;
      readonly items: number;
      readonly endPos: number;
    }
  | { readonly kind: 'bundle'; readonly bundleID: string };

/**
 * Identifies an artifact's content: two artifacts with the same identity have the same content. A span is identified
 * by its hash and its end, since the hash covers neither start nor vat.
 */
export function artifactIdentity(expected: ExpectedContent): string {
  switch (expected.kind) {
    case 'snapshot':
      return `heap:${expected.hash}`;
    case 'transcript':
      return `span:${expected.hash}:${expected.endPos}`;
    case 'bundle':
      return `bundle:${expected.bundleID}`;
  }
}
