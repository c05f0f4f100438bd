/** What snapshots of real stores take, as a table. */
import type { Result } from '../run.ts';
import { laterTitle, NAMES, TITLES } from './races.ts';
import type { RealStore } from './stores.ts';

export interface RealResults extends Pick<RealStore, 'name' | 'mode'> {
  /** Runs of each contender. */
  readonly runs: number;
  readonly results: readonly Result[];
}

const HEADER = [
  '| store | first snapshot | floor | tar \\| zstd -3 | with --long=27 | ours over tar \\| zstd -3 | h+1 adds, over the first | h+20 adds, over the first | same height again adds | highest peak of ours |',
  `|${' --- |'.repeat(10)}`,
  '| target | | | | | 0.500 | 0.150 | 0.600 | | 450 MB |',
];

export function sizeTable(stores: readonly RealResults[]): string {
  return [...HEADER, ...stores.map(sizes)].join('\n');
}

function sizes({ name, results }: RealResults): string {
  const race = (title: string): Result | undefined => results.find((each) => each.title === title);
  const first = race(TITLES.retrieve);
  const ours = first?.ours.madeBytes;
  const of = (rival: string): number | undefined =>
    first?.rivals.find((each) => each.name === rival)?.madeBytes;
  const added = (title: string): number | undefined => race(title)?.ours.madeBytes;
  const tar = of(NAMES.tar);
  const cells = [
    name,
    megabytes(ours),
    megabytes(of(NAMES.floor)),
    megabytes(tar),
    megabytes(of(NAMES.long)),
    share(ours, tar),
    ...['h+1', 'h+20'].map((label) => {
      const bytes = added(laterTitle(label));
      return bytes === undefined ? '' : `${megabytes(bytes)}, ${share(bytes, ours)}`;
    }),
    megabytes(added(TITLES.again)),
    highestPeak(results),
  ];
  return `| ${cells.join(' | ')} |`;
}

function highestPeak(results: readonly Result[]): string {
  const peaks = results.map(({ title, ours }) => ({ title, bytes: ours.peakBytes }));
  const highest = peaks.toSorted((a, b) => b.bytes - a.bytes)[0];
  return highest === undefined ? '' : `${megabytes(highest.bytes)} (${highest.title})`;
}

const megabytes = (bytes: number | undefined): string =>
  bytes === undefined ? '' : `${(bytes / 1e6).toFixed(1)} MB`;

const share = (bytes: number | undefined, of: number | undefined): string =>
  bytes === undefined || of === undefined ? '' : (bytes / of).toFixed(3);
