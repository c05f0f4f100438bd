/** Artifacts and segments whose parts are wrong. */
import { artifactChunk, entryOf, segmentChunk, type Case } from './case.ts';
import { sha256, type Draft, type DraftChunk, type DraftEntry } from './forge.ts';

const MIB = 1024 * 1024;

const partsOf = (draft: Draft): DraftChunk[] =>
  draft.chunks.filter(({ entries }) => entries[0]!.name.includes('snapshot.v1.2/'));
const rename2 = (draft: Draft, part: number, suffix: string): void => {
  const entry = partsOf(draft)[part]!.entries[0]!;
  entry.name = entry.name.replace(/\d{6}$/u, suffix);
};

export const parts: readonly Case[] = [
  [
    'parts out of order',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const [one, two] = partsOf(draft);
      draft.chunks.splice(1, 2, two!, one!);
    },
  ],
  ...[0, 1, 2].map((part): Case => [
    `part ${part} missing`,
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.chunks.splice(1 + part, 1);
    },
  ]),
  [
    'the last part of all missing',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const heap = partsOf(draft);
      draft.chunks = [
        ...draft.chunks.filter((chunk) => !heap.includes(chunk)),
        ...heap.slice(0, 2),
      ];
    },
  ],
  [
    'parts that count from 1',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      rename2(draft, 2, '000003');
      rename2(draft, 1, '000002');
      rename2(draft, 0, '000001');
    },
  ],
  [
    'a part with its number in five digits',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      rename2(draft, 1, '00001');
    },
  ],
  [
    'a first part that is shorter than the second',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const [one, two] = partsOf(draft).map(({ entries }) => entries[0]!);
      two!.data = Buffer.concat([one!.data.subarray(-1), two!.data]);
      one!.data = one!.data.subarray(0, -1);
    },
  ],
  [
    'an empty last part',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const [, , last] = partsOf(draft).map(({ entries }) => entries[0]!);
      const { artifact } = last!;
      delete last!.artifact;
      last!.data = Buffer.concat([last!.data, Buffer.alloc(4 * MIB - last!.data.length)]);
      const empty = { name: last!.name.replace('000002', '000003'), data: Buffer.alloc(0) };
      draft.chunks.splice(4, 0, {
        entries: [{ ...empty, artifact: { ...artifact!, size: 12 * MIB } }],
      });
    },
  ],
  [
    'a whole artifact named as a part',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const entry = entryOf(draft, 'transcript.v2.0.1');
      entry.name = 'swingset/artifacts/transcript.v2.0/000000';
    },
  ],
  [
    'parts of less than 4 MiB',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const entry = entryOf(draft, 'transcript.v2.0.1');
      const stem = 'swingset/artifacts/transcript.v2.0/';
      const [one, two] = [entry.data.subarray(0, 3), entry.data.subarray(3)];
      artifactChunk(draft).entries = artifactChunk(draft).entries.flatMap((other) =>
        other === entry
          ? [
              { name: `${stem}000000`, data: one },
              { name: `${stem}000001`, data: two, artifact: entry.artifact! },
            ]
          : [other],
      );
    },
  ],
  [
    'a part with a changed byte, and hashes to match',
    'ARTIFACT_MISMATCH',
    (draft) => {
      const chunks = partsOf(draft);
      const changed = Buffer.from(chunks[1]!.entries[0]!.data);
      changed[7]! ^= 1;
      chunks[1]!.entries[0]!.data = changed;
      const whole = Buffer.concat(chunks.map(({ entries }) => entries[0]!.data));
      const { artifact } = chunks[2]!.entries[0]!;
      artifact!.sha256 = sha256(whole);
      artifact!.identity = `heap:${sha256(whole)}`;
    },
  ],
  [
    'the wrong hash of the whole',
    'HASH_MISMATCH',
    (draft) => {
      const { artifact } = entryOf(draft, 'transcript.v1.2.4');
      artifact!.sha256 = '0'.repeat(64);
    },
  ],
];

/** A segment of one line in parts of 4 MiB. */
export const splitSegment = (change: (entries: DraftEntry[]) => DraftEntry[]) => (draft: Draft) => {
  const [first, ...rest] = draft.content.lines;
  const line = Buffer.from(`["kv.!","${'x'.repeat(9 * MIB)}"]\n`);
  const stem = `swingset/export-data/${sha256(line)}`;
  const entries = [0, 1, 2].map((part) => ({
    name: `${stem}/${String(part).padStart(6, '0')}`,
    data: line.subarray(part * 4 * MIB, (part + 1) * 4 * MIB),
  }));
  draft.chunks.splice(
    0,
    1,
    ...change(entries).map((entry) => ({ entries: [entry] })),
    segmentChunk(first! + rest.join('')),
  );
};

export const splitSegments: readonly Case[] = [
  [
    'parts of a segment out of order',
    'SNAPSHOT_DAMAGED',
    splitSegment(([a, b, c]) => [b!, a!, c!]),
  ],
  ['a first part of a segment missing', 'SNAPSHOT_DAMAGED', splitSegment(([, b, c]) => [b!, c!])],
  ['a last part of a segment missing', 'SNAPSHOT_DAMAGED', splitSegment(([a, b]) => [a!, b!])],
  [
    'a segment of one part',
    'SNAPSHOT_DAMAGED',
    splitSegment(([, , c]) => [
      { name: `swingset/export-data/${sha256(c!.data)}/000000`, data: c!.data },
    ]),
  ],
  [
    'parts of a segment that do not match its hash',
    'SNAPSHOT_DAMAGED',
    splitSegment(([a, b, c]) => [
      { ...a!, data: Buffer.concat([a!.data.subarray(0, -1), Buffer.from('y')]) },
      b!,
      c!,
    ]),
  ],
];
