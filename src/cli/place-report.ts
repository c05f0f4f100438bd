/** Text output of commands about places: heights in columns, and what is no whole height. */
import type { HeightFacts, Others } from '../operation/place/facts.ts';
import { formatBytes } from './text/format.ts';
import { renderTable, type Column } from './text/table.ts';

const COLUMNS: readonly Column[] = [
  { head: 'HEIGHT', side: 'right' },
  { head: 'MADE (UTC)' },
  { head: 'BY' },
  { head: 'MODE' },
  { head: 'MODULES' },
  { head: 'RAW', side: 'right' },
  { head: 'STORED', side: 'right' },
  { head: 'OWN', side: 'right' },
];

/** Digits of a hash that tell snapshots of one place apart. */
const SHORT_HASH = 12;

/**
 * Heights, one a line.
 * @param last a further column
 */
export function renderHeights<Height extends HeightFacts>(
  heights: readonly Height[],
  last: { readonly head: string; readonly of: (height: Height) => string },
): string[] {
  if (heights.length === 0) return ['no whole snapshot'];
  const rows = heights.map((height) => [
    String(height.height),
    formatTime(height),
    height.madeBy.replace(/^swingsnap /u, ''),
    height.artifactMode,
    height.modules.join(' '),
    formatBytes(height.rawSize),
    formatBytes(height.storedSize),
    formatBytes(height.ownSize),
    last.of(height),
  ]);
  const isOfFile = heights.some(({ madeAtFrom }) => madeAtFrom === 'file');
  return [
    ...renderTable([...COLUMNS, { head: last.head }], rows),
    ...(isOfFile ? ['* its manifest does not say when: the time of the file'] : []),
  ];
}

/** The column of content hashes. */
export function hashColumn(isLong: boolean): {
  readonly head: string;
  readonly of: (height: HeightFacts) => string;
} {
  const digits = isLong ? Infinity : SHORT_HASH;
  return { head: 'CONTENT HASH', of: ({ contentHash }) => contentHash.slice(0, digits) };
}

function formatTime({ madeAt, madeAtFrom }: HeightFacts): string {
  const time = madeAt.slice(0, 19).replace('T', ' ');
  return madeAtFrom === 'file' ? `${time} *` : time;
}

/** What is no whole height, with its reason. */
export function renderOthers({ others, othersLeftOut }: Others): string[] {
  if (others.length === 0) return [];
  return [
    '',
    'no whole snapshots, and left alone:',
    ...others.map(({ name, state, reason }) => `  ${state}  ${JSON.stringify(name)}: ${reason}`),
    ...(othersLeftOut === 0 ? [] : [`  and ${othersLeftOut} more`]),
  ];
}
