/** A change of an export directory, and the store whose export is changed. */
import type { RestoreMode } from '../../src/swing-store-export/artifact-mode.ts';
import type { StoreSpec } from '../fixtures/store-spec.ts';
import type { ExceptionName } from './exceptions.ts';
import type { ExportFiles } from './export-files.ts';

export interface Mutation {
  /** What is changed, in words. Unique in its table. */
  readonly what: string;
  /** The artifact mode of the changed export. By default `operational`. */
  readonly base?: RestoreMode | 'none';
  /** The artifact mode that the restore asks for. By default it asks for none. */
  readonly mode?: RestoreMode;
  readonly change: (files: ExportFiles) => void;
  /** The verdict that both must give. Without it, they must only agree. */
  readonly verdict?: 'accepted' | 'refused';
  /** Why they differ. Without it, they must agree. */
  readonly exception?: ExceptionName;
}

const item = (n: number): string => `{"n":${n}}`;

/**
 * A small store with one of each. `v1` has spans at 0, 3 (incarnation 0), 5, 7 and 9 (current, incarnation 1), and heap
 * snapshots at 3, 7 and 9 (in use). `v2` has an empty current span at 1 and a heap snapshot at 1. `v3` is terminated,
 * with spans at 0 and 1 and a heap snapshot at 1. All history is there.
 */
export const mutationSpec: StoreSpec = {
  height: 77,
  kv: { a: '1', b: '2', 'odd \u2028': 'x \u{1f600} \u0000', '\u{10000}': '', '\uffff': '' },
  keepSnapshots: true,
  vats: [
    {
      vatID: 'v1',
      incarnations: [
        {
          spans: [
            { items: [item(0), item(1), item(2)], heap: { size: 300, seed: 1 } },
            { items: [item(3), item(4)] },
          ],
        },
        {
          spans: [
            { items: [item(5), item(6)], heap: { size: 300, seed: 2 } },
            { items: [item(7), item(8)], heap: { size: 300, seed: 3 } },
            { items: [item(9), item(10)] },
          ],
        },
      ],
    },
    {
      vatID: 'v2',
      incarnations: [
        { spans: [{ items: [item(0)], heap: { size: 300, seed: 4 } }, { items: [] }] },
      ],
    },
    {
      vatID: 'v3',
      terminated: 'stopped',
      incarnations: [
        { spans: [{ items: [item(0)], heap: { size: 300, seed: 5 } }, { items: [item(1)] }] },
      ],
    },
  ],
  bundles: [{ format: 'b0', size: 300, seed: 1 }],
};
