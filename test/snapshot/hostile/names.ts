/** Entries and artifacts with names that lead elsewhere or belong to others. */
import { entryOf, type Case } from './case.ts';
import type { Draft } from './forge.ts';

const replaceEntryName = (draft: Draft, name: string): void => {
  entryOf(draft, 'snapshot.v1.2').name = name;
};

const HOSTILE_NAMES = [
  '/etc/passwd',
  '../outside',
  'swingset/artifacts/../../../outside',
  'swingset/artifacts/snapshot.v1.2/',
  './swingset/artifacts/snapshot.v1.2',
  'swingset/artifacts//snapshot.v1.2',
  'swingset/artifacts/snapshot.v1.2\0',
  'wasm/artifacts/snapshot.v1.2',
  '',
];

export const names: readonly Case[] = [
  ...HOSTILE_NAMES.map((name): Case => [
    `an entry named ${JSON.stringify(name)}`,
    'SNAPSHOT_DAMAGED',
    (draft) => {
      replaceEntryName(draft, name);
    },
  ]),
  ...['snapshot.v1/../x.2', 'bundle.b1/../../x', 'snapshot.v1.02', 'UNTRUSTED-EXPORT-DATA', ''].map(
    (name): Case => [
      `an artifact named ${JSON.stringify(name)}`,
      'ARTIFACT_NAME',
      (draft) => {
        const entry = entryOf(draft, 'snapshot.v1.2');
        entry.name = `swingset/artifacts/${name}`;
        entry.artifact!.name = name;
      },
    ],
  ),
  [
    'an artifact without a record',
    'NO_RECORD',
    (draft) => {
      const entry = entryOf(draft, 'snapshot.v1.2');
      entry.name = 'swingset/artifacts/snapshot.v1.3';
      entry.artifact!.name = 'snapshot.v1.3';
    },
  ],
  [
    'a segment named by the wrong hash',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.chunks[0]!.entries[0]!.name = `swingset/export-data/${'0'.repeat(64)}.jsonl`;
    },
  ],
  [
    'a name of 1025 characters',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      replaceEntryName(draft, 'x'.repeat(1025));
    },
  ],
];
