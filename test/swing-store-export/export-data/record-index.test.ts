import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RESTORE_MODES } from '../../../src/swing-store-export/artifact-mode.ts';
import { RecordIndex } from '../../../src/swing-store-export/export-data/record-index.ts';
import {
  bundleEntry,
  heapSnapshotEntries,
  transcriptSpanEntry,
} from '../../../src/swing-store-export/export-data/records.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const fileDir = useTempDir('file');
let scratchDir: string | undefined;

async function withIndex<T>(use: (index: RecordIndex) => T): Promise<T> {
  const index = new RecordIndex((scratchDir ??= await fileDir()));
  try {
    return use(index);
  } finally {
    index.close();
  }
}

const digest = { size: 1, sha256: 'x' };

interface Span {
  readonly startPos: number;
  readonly endPos: number;
  readonly incarnation: number;
  readonly isCurrent: boolean;
  readonly held: boolean;
}

/** The spans of one vat, in order and without gaps except those that `present` leaves. */
const spans: fc.Arbitrary<Span[]> = fc
  .tuple(
    fc.array(
      fc.record({
        length: fc.nat(3),
        upgrade: fc.boolean(),
        held: fc.boolean(),
        present: fc.boolean(),
      }),
      { maxLength: 5 },
    ),
    fc.record({ length: fc.nat(3), upgrade: fc.boolean(), held: fc.boolean() }),
  )
  .map(([before, last]) => {
    let startPos = 0;
    let incarnation = 0;
    const all = [...before, { ...last, present: true }].map(
      (span, i): Span & { present: boolean } => {
        if (span.upgrade) incarnation += 1;
        // Two spans at one position would be one.
        const isCurrent = i === before.length;
        const endPos = startPos + span.length + (isCurrent ? 0 : 1);
        const made = {
          startPos,
          endPos,
          incarnation,
          isCurrent,
          held: span.held,
          present: span.present,
        };
        startPos = endPos;
        return made;
      },
    );
    return all.filter(({ present }) => present);
  });

/** What the reference's `assertComplete` requires of the items, counted one by one. */
function isComplete(all: readonly Span[], mode: (typeof RESTORE_MODES)[number]): boolean {
  const current = all.find(({ isCurrent }) => isCurrent)!;
  const items = new Set(
    all
      .filter(({ held }) => held)
      .flatMap(({ startPos, endPos }) =>
        Array.from({ length: endPos - startPos }, (_, i) => startPos + i),
      ),
  );
  const incarnation = all.filter((span) => span.incarnation === current.incarnation);
  const from = {
    debug: current.startPos,
    operational: current.startPos,
    replay: Math.min(...incarnation.map(({ startPos }) => startPos)),
    archival: 0,
  }[mode];
  const needed = Array.from({ length: current.endPos - from }, (_, i) => from + i);
  return needed.every((position) => items.has(position));
}

describe('the index of records', () => {
  it('finds spans complete if every item that the mode requires is held', async () => {
    const seen = { complete: 0, lacking: 0 };
    await fc.assert(
      fc.asyncProperty(spans, fc.constantFrom(...RESTORE_MODES), async (all, mode) =>
        withIndex((index) => {
          const vatID = 'v1';
          for (const { held: _, ...span } of all) {
            index.add(...transcriptSpanEntry({ vatID, hash: 'h', ...span }));
          }
          for (const { startPos, endPos, held } of all) {
            if (held)
              index.notePresent({ kind: 'transcript', vatID, startPos, endPos }, digest, true);
          }
          const complete = isComplete(all, mode);
          seen[complete ? 'complete' : 'lacking'] += 1;
          expect(index.missing(mode).length === 0).toBe(complete);
          expect(index.missing('none')).toEqual([]);
        }),
      ),
      { seed: 3, numRuns: 150 },
    );
    expect(Math.min(seen.complete, seen.lacking)).toBeGreaterThan(20);
  });

  it('requires every bundle and every heap snapshot in use, in each mode except none', async () => {
    await withIndex((index) => {
      index.add(...bundleEntry('b0-x'));
      const heap = { vatID: 'v1', hash: 'h' };
      for (const entry of heapSnapshotEntries({ ...heap, snapPos: 1, inUse: false }))
        index.add(...entry);
      for (const entry of heapSnapshotEntries({ ...heap, snapPos: 2, inUse: true }))
        index.add(...entry);
      for (const mode of RESTORE_MODES) {
        expect(index.missing(mode)).toEqual(['bundle.b0-x', 'snapshot.v1.2']);
      }
      // A listed artifact is not a held one.
      index.notePresent({ kind: 'bundle', bundleID: 'b0-x' }, digest, false);
      expect(index.missing('operational')).toEqual(['bundle.b0-x', 'snapshot.v1.2']);
      index.notePresent({ kind: 'snapshot', vatID: 'v1', snapPos: 2 }, digest, true);
      expect(index.missing('archival')).toEqual(['bundle.b0-x']);
      expect(index.missing('none')).toEqual([]);
    });
  });

  it('names at most ten missing artifacts', async () => {
    await withIndex((index) => {
      for (let i = 0; i < 30; i += 1) index.add(...bundleEntry(`b0-${i}`));
      expect(index.missing('operational')).toHaveLength(10);
    });
  });

  it('refuses a duplicate artifact, and a span that overlaps another', async () => {
    await withIndex((index) => {
      const span = { vatID: 'v1', hash: 'h', isCurrent: false, incarnation: 0 };
      index.add(...transcriptSpanEntry({ ...span, startPos: 0, endPos: 4 }));
      index.add(...transcriptSpanEntry({ ...span, startPos: 2, endPos: 5 }));
      const note = (startPos: number, endPos: number): void => {
        index.notePresent({ kind: 'transcript', vatID: 'v1', startPos, endPos }, digest, true);
      };
      note(0, 4);
      const refused = expect.objectContaining({ code: 'DUPLICATE_ARTIFACT' }) as Error;
      expect(() => {
        note(0, 4);
      }).toThrow(refused);
      expect(() => {
        note(2, 5);
      }).toThrow(refused);
    });
  });

  it('refuses records that contradict each other', async () => {
    await withIndex((index) => {
      const heap = { vatID: 'v1', hash: 'h', inUse: true };
      const [first] = heapSnapshotEntries({ ...heap, snapPos: 1 });
      const [second] = heapSnapshotEntries({ ...heap, snapPos: 2 });
      index.add(...first!);
      for (const entry of [first!, second!]) {
        expect(() => {
          index.add(...entry);
        }).toThrow(expect.objectContaining({ code: 'RECORD' }) as Error);
      }
    });
  });
});
