/** Lists of entries with wrong fields, lines or frames. */
import { rawFrame } from './bytes.ts';
import { entryOf, type Case } from './case.ts';

const MIB = 1024 * 1024;

export const lists: readonly Case[] = [
  ...(
    [
      ['a fractional size', { size: 1.5 }],
      ['a negative size', { size: -1 }],
      ['a size beyond the limit', { size: 64 * MIB + 1 }],
      ['a size as text', { size: '10' }],
      ['the wrong size', { size: 11 }],
      ['the wrong hash', { sha256: '0'.repeat(64) }],
      ['a hash in capitals', { sha256: 'A'.repeat(64) }],
      ['an unknown field', { mode: 0o777 }],
      ['a chunk outside', { chunk: '../../x' }],
      ['a missing chunk', { chunk: '0'.repeat(64) }],
    ] as const
  ).map(([what, line]): Case => [
    `an entry with ${what}`,
    'SNAPSHOT_DAMAGED',
    (draft) => {
      entryOf(draft, 'snapshot.v1.2').line = line;
    },
  ]),
  ...(
    [
      ['size', 11],
      ['sha256', '0'.repeat(64)],
      ['identity', `heap:${'0'.repeat(64)}`],
      ['identity', ''],
      ['identity', 'x'.repeat(1025)],
    ] as const
  ).map(([field, value]): Case => [
    `an artifact whose ${field} is ${JSON.stringify(value).slice(0, 20)}`,
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const entry = entryOf(draft, 'snapshot.v1.2');
      entry.artifact = { ...entry.artifact!, [field]: value };
    },
  ]),
  [
    'a span with an identity that has a different end',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const artifact = entryOf(draft, 'transcript.v1.0.2').artifact!;
      artifact.identity = artifact.identity.replace(/2$/u, '3');
    },
  ],
  [
    'a line that is not JSON',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.lines = (lines) => [...lines, '{'];
    },
  ],
  ...['', '[]', 'null', '{}', '"x"'].map((line): Case => [
    `the line ${JSON.stringify(line)}`,
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.lines = (lines) => [...lines, line];
    },
  ]),
  [
    'a line with its fields out of order',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.lines = ([first, ...rest]) => [first!.replace(/^\{(.*?),(.*?),/u, '{$2,$1,'), ...rest];
    },
  ],
  [
    'a field twice in a line',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.lines = ([first, ...rest]) => [first!.replace('{', '{"size":1,'), ...rest];
    },
  ],
  [
    'a line of 2 MiB and more',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.lines = (lines) => [...lines, 'x'.repeat(3 * MIB)];
    },
  ],
  [
    'a line that continues in the next frame',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = (text) =>
        Buffer.concat([
          draft.codec.compress(text.subarray(0, text.length - 10), 3),
          draft.codec.compress(text.subarray(text.length - 10), 3),
        ]);
    },
  ],
  [
    'an empty frame after the lines',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = (text) =>
        Buffer.concat([draft.codec.compress(text, 3), draft.codec.compress(Buffer.alloc(0), 3)]);
    },
  ],
  [
    'a last line without its newline',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = (text) => draft.codec.compress(text.subarray(0, -1), 3);
    },
  ],
  [
    'a list that is not UTF-8',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = (text) =>
        draft.codec.compress(
          Buffer.from(text.toString('latin1').replace('v1', '\xff1'), 'latin1'),
          3,
        );
    },
  ],
  [
    'a list that is not compressed',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = (text) => text;
    },
  ],
  [
    'an empty list',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = () => Buffer.alloc(0);
    },
  ],
  [
    'a list that needs a window of 8 MiB',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = (text) => rawFrame(text, { windowLog: 23 });
    },
  ],
];
