import fc from 'fast-check';
import { expect, it } from 'vitest';
import { cutsAfter } from '../../../src/modules/kit/group.ts';
import {
  SEGMENT_MAX_BYTES,
  SEGMENT_MEAN_REST_BYTES,
  SEGMENT_MIN_BYTES,
} from '../../../src/modules/swingset/layout.ts';
import { SegmentCutter } from '../../../src/modules/swingset/segment-cutter.ts';

/** The rule of docs/snapshot-format.md, line by line. */
function cutByRule(lines: readonly Buffer[]): Buffer[] {
  const segments: Buffer[] = [];
  let segment: Buffer[] = [];
  let length = 0;
  const end = (): void => {
    if (length > 0) segments.push(Buffer.concat(segment));
    segment = [];
    length = 0;
  };
  for (const line of lines) {
    if (length + line.length > SEGMENT_MAX_BYTES) end();
    segment.push(line);
    length += line.length;
    const key = (JSON.parse(line.toString()) as [string])[0];
    const spelled = Buffer.from(JSON.stringify(key).slice(1, -1));
    if (length >= SEGMENT_MIN_BYTES && cutsAfter(spelled, line.length, SEGMENT_MEAN_REST_BYTES)) {
      end();
    }
  }
  end();
  return segments;
}

it('cuts segments by the rule, however the lines come in blocks', () => {
  const size = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 60_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 400_000, max: 2_500_000 }) },
  );
  const line = fc.record({ size, blockEnds: fc.boolean(), quoted: fc.boolean() });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (specs) => {
      const lines = specs.map(({ size, quoted }, at) => {
        const key = `kv.${quoted ? '"\\' : ''}${at}`;
        return Buffer.from(`${JSON.stringify([key, 'x'.repeat(size)])}\n`);
      });
      const cutter = new SegmentCutter();
      const found: Buffer[] = [];
      let block: Buffer[] = [];
      for (const [at, each] of lines.entries()) {
        block.push(each);
        if (specs[at]?.blockEnds !== true && at < lines.length - 1) continue;
        found.push(...cutter.add(Buffer.concat(block)));
        block = [];
      }
      found.push(...cutter.finish());
      expect(found.map(({ length }) => length)).toEqual(cutByRule(lines).map((s) => s.length));
      expect(Buffer.concat(found).equals(Buffer.concat(lines))).toBe(true);
    }),
    { numRuns: 60, seed: 5 },
  );
});
