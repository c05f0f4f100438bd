/** Stores for property tests: small, and of every shape that the kernel's calls can make. */
import fc from 'fast-check';
import type { IncarnationSpec, SpanSpec, StoreSpec, VatSpec } from '../fixtures/store-spec.ts';

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('', '\u2028', '\uffff', '\u{10000}', '"', '\\', '\u0000', ' ', '\n'),
);

const keys = fc
  .array(fc.tuple(text, text), { maxLength: 12 })
  .map((entries) =>
    Object.fromEntries(
      entries.filter(([key]) => !/^(?:local|host)\./.test(key) && key !== '__proto__'),
    ),
  );

const items = fc.array(
  text.map((inside) => JSON.stringify({ inside })),
  { maxLength: 4 },
);
const heap = fc.record({ size: fc.integer({ min: 0, max: 400 }), seed: fc.nat(1000) });

/** A heap snapshot is taken between two spans, so the last span of an incarnation has none. */
const incarnation: fc.Arbitrary<IncarnationSpec> = fc
  .record(
    {
      before: fc.array(fc.record({ items, heap }), { maxLength: 2 }),
      last: fc.record({ items }),
      keepTranscripts: fc.boolean(),
      keepSnapshots: fc.boolean(),
    },
    { requiredKeys: ['before', 'last'] },
  )
  .map(({ before, last, ...keep }) => {
    // The added item keeps two heap snapshots from having one position, where they would be one.
    const spans: SpanSpec[] = before.map((span) => ({ ...span, items: [...span.items, '{}'] }));
    return { spans: [...spans, last], ...keep };
  });

/**
 * An upgrade starts a span where the last one ended. That one must hold an item, or both would start at one position.
 */
const upgradable = ({ spans, ...keep }: IncarnationSpec): IncarnationSpec => ({
  ...keep,
  spans: spans.map((span, i) =>
    i === spans.length - 1 ? { items: [...(span.items as readonly string[]), '{}'] } : span,
  ),
});

const incarnations = fc
  .array(incarnation, { minLength: 1, maxLength: 3 })
  .map((all) => all.map((one, i) => (i < all.length - 1 ? upgradable(one) : one)));

const vat = (vatID: string): fc.Arbitrary<VatSpec> =>
  fc.record(
    {
      vatID: fc.constant(vatID),
      incarnations,
      terminated: fc.constantFrom('stopped', 'partially-deleted', 'deleted'),
    },
    { requiredKeys: ['vatID', 'incarnations'] },
  );

const vats = fc
  .subarray(['v1', 'v10', 'v2', 'v3'])
  .chain((vatIDs) => fc.tuple(...vatIDs.map((vatID) => vat(vatID))));

const bundles = fc.array(
  fc.record({
    format: fc.constantFrom('b0' as const, 'b1' as const),
    size: fc.constant(200),
    seed: fc.nat(1000),
  }),
  { maxLength: 2 },
);

export const arbitraryStore: fc.Arbitrary<StoreSpec> = fc
  .record({
    height: fc.nat(1_000_000),
    kv: keys,
    vats,
    bundles,
    keepTranscripts: fc.boolean(),
    keepSnapshots: fc.boolean(),
  })
  .map((spec) => ({
    ...spec,
    bundles: spec.bundles.filter(
      ({ format, seed }, i, all) =>
        all.findIndex((other) => other.format === format && other.seed === seed) === i,
    ),
  }));
