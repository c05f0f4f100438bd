/** What a record expects of its artifact. */

/** What an artifact's record says of its content. */
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
 * What names an artifact's content: two artifacts of one identity hold the same (a span is named by its hash and
 * its end, since the hash covers neither start nor vat).
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
