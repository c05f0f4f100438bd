import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../src/errors.ts';
import {
  formatArtifactName,
  parseArtifactName,
  type ArtifactName,
} from '../../src/swing-store-export/names.ts';

const id = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((text) => !/[\s\p{Control}/\\.]/u.test(text));
const position = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const name: fc.Arbitrary<ArtifactName> = fc.oneof(
  fc.record({ kind: fc.constant('snapshot' as const), vatID: id, snapPos: position }),
  fc.record({
    kind: fc.constant('transcript' as const),
    vatID: id,
    startPos: position,
    endPos: position,
  }),
  fc.record({ kind: fc.constant('bundle' as const), bundleID: id }),
);

describe('the name of an artifact', () => {
  it('is parsed into the parts that it was made of', () => {
    fc.assert(
      fc.property(name, (parts) => {
        expect(parseArtifactName(formatArtifactName(parts))).toEqual(parts);
      }),
      { seed: 1 },
    );
  });

  it('has one spelling: any text is refused, or equals what its parts spell', () => {
    const piece = fc.constantFrom(
      'snapshot',
      'transcript',
      'bundle',
      '.',
      'v1',
      '0',
      '8',
      '08',
      '-1',
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(piece).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(text, (spelled) => {
        let parts: ArtifactName;
        try {
          parts = parseArtifactName(spelled);
        } catch (error) {
          expect(error).toBeInstanceOf(VerificationError);
          return;
        }
        expect(formatArtifactName(parts)).toBe(spelled);
      }),
      { seed: 1, numRuns: 2000 },
    );
  });

  it.each([
    ...['', '.', 'snapshot', 'snapshot.', 'snapshot..1', 'snapshot.v1', 'snapshot.v1.', 'bundle.'],
    ...[
      'snapshot.v1.1.2',
      'transcript.v1.1',
      'transcript.v1.1.2.3',
      'bundle.b0-x.y',
      'module.v1.1',
    ],
    ...['snapshot.v1.08', 'snapshot.v1.+8', 'snapshot.v1.-8', 'snapshot.v1.8.0', 'snapshot.v1.0x8'],
    ...['snapshot.v1.1e3', 'snapshot.v1. 8', 'snapshot.v1.9007199254740993', 'snapshot.v1.NaN'],
    ...['bundle./', 'bundle.a/b', 'bundle.a\\b', 'bundle. ', 'bundle.a\u0000', 'bundle.a\n'],
    ...['bundle.a\u007f', 'bundle.a\u0085', 'bundle.a\u00a0', 'bundle.a\u2028', 'bundle.\ufeff'],
    ...['bundle.a\ud800', `bundle.${'x'.repeat(201)}`, 'Snapshot.v1.8', 'UNTRUSTED-EXPORT-DATA'],
  ])('is not %j', (spelled) => {
    expect(() => parseArtifactName(spelled)).toThrow(
      expect.objectContaining({ code: 'ARTIFACT_NAME', exitCode: 3 }),
    );
  });
});
