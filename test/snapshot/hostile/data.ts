/** Export data that exporters do not write. */
import { segmentChunk, type Case } from './case.ts';
import type { Draft } from './forge.ts';

const exportData = (change: (text: string) => string) => (draft: Draft) => {
  draft.chunks[0] = segmentChunk(change(draft.content.lines.join('')));
};

export const data: readonly Case[] = [
  ['a key twice', 'SNAPSHOT_DAMAGED', exportData((text) => `["kv.a","0"]\n${text}`)],
  [
    'keys out of order',
    'SNAPSHOT_DAMAGED',
    exportData((text) => text.replace(/^(.*\n)(.*\n)/u, '$2$1')),
  ],
  ['a value that is null', 'SNAPSHOT_DAMAGED', exportData((text) => `["kv.A",null]\n${text}`)],
  ['a null line', 'SNAPSHOT_DAMAGED', exportData((text) => `null\n${text}`)],
  ['an empty line', 'SNAPSHOT_DAMAGED', exportData((text) => `\n${text}`)],
  ['blanks in a line', 'SNAPSHOT_DAMAGED', exportData((text) => text.replace('","', '", "'))],
  [
    'a needless escape',
    'SNAPSHOT_DAMAGED',
    exportData((text) => text.replace('kv.a', 'kv.\\u0061')),
  ],
  ['CR LF', 'SNAPSHOT_DAMAGED', exportData((text) => text.replaceAll('\n', '\r\n'))],
  ['no newline at its end', 'SNAPSHOT_DAMAGED', exportData((text) => text.slice(0, -1))],
  ['a byte order mark', 'SNAPSHOT_DAMAGED', exportData((text) => `\ufeff${text}`)],
  ['an unknown tag', 'SNAPSHOT_DAMAGED', exportData((text) => `${text}["x.y","1"]\n`)],
  [
    'a key of the host',
    'HOST_KEY',
    exportData((text) =>
      text
        .replace('["kv.a"', '["kv.host.height","1"]\n["kv.a"')
        .replace(/^(\["kv\.host.*\n)((?:\["kv\.[a-c]".*\n)+)/mu, '$2$1'),
    ),
  ],
  [
    'a record that contradicts itself',
    'SNAPSHOT_DAMAGED',
    exportData((text) => text.replace('\\"isCurrent\\":1', '\\"isCurrent\\":0')),
  ],
  [
    'a line split between two segments',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const text = draft.content.lines.join('');
      draft.chunks.splice(0, 1, segmentChunk(text.slice(0, 20)), segmentChunk(text.slice(20)));
    },
  ],
  [
    'an empty segment',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.chunks.splice(1, 0, segmentChunk(''));
    },
  ],
];
