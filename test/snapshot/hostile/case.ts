/** Cases of forged snapshots, and helpers to find the parts of a draft that cases change. */
import { segmentEntry, type Draft, type DraftChunk, type DraftEntry } from './forge.ts';

/** A change of a draft, and the code of its refusal. */
export type Case = readonly [
  what: string,
  code: string,
  change: (draft: Draft) => void | Promise<void>,
];

export const artifactChunk = (draft: Draft): DraftChunk => draft.chunks.at(-1)!;
export const entryOf = (draft: Draft, name: string): DraftEntry =>
  draft.chunks.flatMap(({ entries }) => entries).find((entry) => entry.artifact?.name === name)!;
export const segmentChunk = (text: string): DraftChunk => ({
  entries: [segmentEntry(Buffer.from(text))],
});
