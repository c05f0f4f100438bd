/** Entries that are out of place, repeated or missing. */
import { artifactChunk, segmentChunk, type Case } from './case.ts';

export const order: readonly Case[] = [
  [
    'export data after the artifacts',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.chunks.reverse();
    },
  ],
  [
    'export data between artifacts',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.chunks.push(segmentChunk('["kv.z","1"]\n'));
    },
  ],
  [
    'an artifact in the chunk of a segment',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const [first, second] = draft.chunks;
      draft.chunks = [{ entries: [...first!.entries, ...second!.entries] }];
    },
  ],
  [
    'segments in the wrong order',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const [head, ...rest] = draft.content.lines;
      draft.chunks.splice(0, 1, segmentChunk(rest.join('')), segmentChunk(head!));
    },
  ],
  [
    'a segment twice',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.chunks.splice(1, 0, draft.chunks[0]!);
      draft.manifest = (manifest) => {
        manifest.chunks.count = 2;
      };
    },
  ],
  [
    'artifacts without export data',
    'NO_RECORD',
    (draft) => {
      draft.chunks.shift();
    },
  ],
  [
    'entries of two chunks mixed',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const [one, two] = [
        artifactChunk(draft).entries.slice(0, 1),
        artifactChunk(draft).entries.slice(1),
      ];
      draft.chunks.splice(-1, 1, { entries: one }, { entries: two });
      draft.lines = (lines) => [lines[0]!, lines[2]!, lines[1]!, ...lines.slice(3)];
    },
  ],
  [
    'an artifact twice in one chunk',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const { entries } = artifactChunk(draft);
      artifactChunk(draft).listed = [...entries, entries[0]!];
    },
  ],
  [
    'an artifact twice, honestly packed',
    'DUPLICATE_ARTIFACT',
    (draft) => {
      const { entries } = artifactChunk(draft);
      artifactChunk(draft).entries = [...entries, entries[0]!];
    },
  ],
  [
    'an artifact twice in two chunks',
    'DUPLICATE_ARTIFACT',
    (draft) => {
      draft.chunks.push({ entries: [artifactChunk(draft).entries[0]!] });
    },
  ],
  [
    'a missing line of the list',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.lines = (lines) => lines.slice(0, -1);
    },
  ],
  [
    'the entries of a chunk in a different order than in its tar',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.lines = ([first, ...rest]) => [first!, ...rest.reverse()];
    },
  ],
];
