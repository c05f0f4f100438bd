/** Results as a table, and as the document that is kept. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';
import { pathToFileURL } from 'node:url';
import { sqliteSeenFrom } from '../../src/io/sqlite.ts';
import { sizeTable, type RealResults } from './real/report.ts';
import type { Figures, Result } from './run.ts';
import { writerTable, type WriterFigures } from './writer.ts';

export interface Report {
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly runs: number;
  /** Of our commands and of the floor on real stores. */
  readonly threads: number;
  readonly real: readonly RealResults[];
  readonly generated: Generated | undefined;
}

/** What the generated stores gave. */
export interface Generated {
  /** Name of the size of the store in the races. */
  readonly size: string;
  readonly results: readonly Result[];
  /** Bytes and milliseconds of the check of b1 bundles. */
  readonly bundles: { readonly bytes: number; readonly milliseconds: number };
  readonly floors: Floors;
  readonly writer: readonly WriterFigures[];
  /** Our commands alone, by size of the store. */
  readonly sizes: Readonly<Record<string, readonly Alone[]>>;
}

/** What the machine can do, as `floors.js` prints it. */
export interface Floors {
  /** MB/s on one thread, by kind of work. */
  readonly rates: Readonly<Record<string, number>>;
  /** How much two threads do at once, as a multiple of one thread. */
  readonly twoThreads: number;
}

/** What one of our commands took. */
export type Alone = Pick<Result, 'title' | 'ours'>;

/** What the figures depend on. */
export function surroundings(): Pick<Report, 'date' | 'machine' | 'versions'> {
  // Read as files, since not every package exports its package.json.
  const versionOf = (folder: string | URL): string => {
    const path = new URL('package.json', folder);
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  };
  const sqlite = createRequire(sqliteSeenFrom).resolve('better-sqlite3');
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} cores (${cpu?.model ?? 'unknown'}), ${megabytes(totalmem())} MB of memory, ${process.platform} ${process.arch}`,
    versions: {
      node: process.version,
      'better-sqlite3': versionOf(new URL('../', pathToFileURL(sqlite))),
      '@agoric/swing-store': versionOf(
        new URL('../../node_modules/@agoric/swing-store/', import.meta.url),
      ),
      zstd: /v[\d.]+/u.exec(execFileSync('zstd', ['--version'], { encoding: 'utf8' }))?.[0] ?? '?',
    },
  };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

const HEADER = [
  '| work | who | s (spread) | CPU s | peak MB | made MB | ours over it | target |',
  '| --- | --- | --- | --- | --- | --- | --- | --- |',
];

function cells(work: string, who: string, figures: Figures, ratio: string, target: string): string {
  const { seconds, least, most, cpuSeconds, peakBytes, madeBytes } = figures;
  const spread = `${seconds.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`;
  const made = madeBytes === undefined ? '' : (madeBytes / 1e6).toFixed(1);
  return `| ${[work, who, spread, cpuSeconds.toFixed(2), megabytes(peakBytes), made, ratio, target].join(' | ')} |`;
}

/** Ours, and below it each rival with our time over its time. */
function rows({ title, ours, rivals }: Result): string[] {
  return [
    cells(title, '**ours**', ours, '', ''),
    ...rivals.map((rival) => {
      const { ratio, target } = rival;
      const verdict =
        target === undefined ? '' : `${target.toFixed(2)} ${ratio <= target ? 'met' : 'missed'}`;
      return cells('', rival.name.replaceAll('|', '\\|'), rival, ratio.toFixed(2), verdict);
    }),
  ];
}

function table(results: readonly Result[]): string {
  return [...HEADER, ...results.flatMap(rows)].join('\n');
}

/** How the time and memory of our commands grow from the first size to the others. */
function growth(sizes: Generated['sizes']): string {
  const names = Object.keys(sizes);
  const [first = []] = Object.values(sizes);
  const rows = first.map(({ title }) => {
    const found = names.map((name) => sizes[name]?.find((result) => result.title === title)?.ours);
    const cells = found.map((ours) =>
      ours === undefined ? '' : `${ours.seconds.toFixed(2)}, ${megabytes(ours.peakBytes)}`,
    );
    const peaks = found.map((ours) => ours?.peakBytes ?? 0);
    const factor = (Math.max(...peaks) / (peaks[0] ?? 1)).toFixed(2);
    return `| ${title} | ${cells.join(' | ')} | ${factor} |`;
  });
  return [
    `| ours: s, peak MB | ${names.join(' | ')} | highest peak over the first |`,
    `| --- |${' --- |'.repeat(names.length)} --- |`,
    ...rows,
  ].join('\n');
}

function floorTable({ rates, twoThreads }: Floors): string {
  return [
    '| work | MB/s on one thread |',
    '| --- | --- |',
    ...Object.entries(rates).map(([work, rate]) => `| ${work} | ${rate.toFixed(0)} |`),
    '',
    `Two threads at once do ${twoThreads.toFixed(2)} times as much as one (zstd of heap snapshots).`,
  ].join('\n');
}

function bundleLine({ bytes, milliseconds }: Generated['bundles']): string {
  const rate = bytes / 1e3 / milliseconds;
  return `The check of the ${megabytes(bytes)} MB of \`b1\` bundles takes ${milliseconds.toFixed(0)} ms of one thread: ${rate.toFixed(0)} MB/s.`;
}

/** The tables of a run. */
export function chapters({ real, generated }: Report): string {
  const ofReal = real.map(
    ({ name, mode, runs, results }) =>
      `### ${name}\n\nArtifact mode \`${mode}\`, medians of ${runs}.\n\n${table(results)}`,
  );
  return [
    ...(real.length === 0 ? [] : [REAL, sizeTable(real), ...ofReal]),
    ...(generated === undefined ? [] : [generatedChapter(generated)]),
  ].join('\n\n');
}

const REAL = `## Real stores

\`npm run bench -- --real DIR\` makes them of the exports in a directory, as far as they are there. Any export of a node will do,
made by swingsnap or by the node:

- \`chain\`: of a chain's node. In artifact mode \`debug\` it has the heap snapshots of earlier heights too, which make the
  large store more varied.
- \`kernel-h\`, \`kernel-h+1\` and \`kernel-h+20\`: of one kernel, at a height, one block later, and 20 blocks later, as
  \`swingsnap export --at-height\` makes them.

Of a store whose name ends in \`-archival\`, all transcript spans are taken. The large store is put together of the heap
snapshots of \`chain\` and \`kernel-h\` under other vat ids: first all that differ, of every height, then what they look like some
deliveries later (\`test/bench/real/later-heap.ts\`).

The floor moves, hashes and compresses the same bytes with nothing else around (\`test/bench/floor.js\`). It checks nothing and
proves nothing. The table says how large snapshots are, and what they add where a height is there already: one block later,
20 blocks later, and at the same height.`;

function generatedChapter({ size, results, bundles, floors, writer, sizes }: Generated): string {
  return `## Generated store of size ${size}

Size 1x is an export of about 700 MB (\`test/fixtures/store-spec.ts\`).

${table(results)}

${bundleLine(bundles)}

### Beside a node

The reference commits a block every 50 ms to a copy of the store: 100 keys, 10 transcript items. The times are those of its
blocks, each with its commit, while one retrieve runs after the other.

${writerTable(writer)}

### What the machine can do

Each kind of work alone on one thread, with the content of the store; in memory, but for the last.

${floorTable(floors)}

### Growth

Ours alone, one run for each of the larger sizes.

${growth(sizes)}`;
}

/** Text that a person writes below this heading is kept from one run to the next. */
const WHY = '## Where a target is missed, and why';

/**
 * The whole of `docs/performance.md`.
 * @param before the text that it replaces
 */
export function document(report: Report, before: string): string {
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  const why = before.indexOf(WHY);
  return `# Performance

Written by \`npm run bench -- --write\` on ${report.date}: ${report.machine}; ${versions.join(', ')}. Of ${report.runs} runs
of each contender, all in turn, the time and the CPU seconds are medians, and a ratio is the median of our time over the
rival's in neighbouring runs. Peak memory is the sum over the processes of a command. On real stores, our commands and the
floor have ${report.threads} threads. Of a snapshot in a snapshot dir that has others, only the bytes that it adds are counted as made.

${chapters(report)}

${why === -1 ? `${WHY}\n` : before.slice(why)}`;
}
