/** Results as a table, and as the document that is kept. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { Figures, Result } from './run.ts';

export interface Report {
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly runs: number;
  /** By size of the store. */
  readonly sizes: Readonly<Record<string, readonly Result[]>>;
}

/** What the figures depend on. */
export function surroundings(): Pick<Report, 'date' | 'machine' | 'versions'> {
  // Read as files, since not every package exports its package.json.
  const versionOf = (name: string): string => {
    const path = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  };
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${String(cpus().length)} cores (${cpu?.model ?? 'unknown'}), ${megabytes(totalmem())} MB of memory, ${process.platform} ${process.arch}`,
    versions: {
      node: process.version,
      'better-sqlite3': versionOf('better-sqlite3'),
      '@agoric/swing-store': versionOf('@agoric/swing-store'),
      zstd: /v[\d.]+/u.exec(execFileSync('zstd', ['--version'], { encoding: 'utf8' }))?.[0] ?? '?',
    },
  };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

const HEADER = [
  '| work | ours: s (spread), peak MB, made MB | rival | rival: s (spread), peak MB, made MB | ratio | target |',
  '| --- | --- | --- | --- | --- | --- |',
];

function cell({ seconds, least, most, peakBytes, madeBytes }: Figures): string {
  const made = madeBytes === undefined ? '' : `, ${megabytes(madeBytes)}`;
  return `${seconds.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)}), ${megabytes(peakBytes)}${made}`;
}

function row({ title, ours, rival, ratio, target }: Result): string {
  const verdict = ratio <= target ? 'met' : 'missed';
  return `| ${title} | ${cell(ours)} | ${rival.name.replaceAll('|', '\\|')} | ${cell(rival)} | ${ratio.toFixed(2)} | ${target.toFixed(2)} ${verdict} |`;
}

export function table(results: readonly Result[]): string {
  return [...HEADER, ...results.map(row)].join('\n');
}

/** How time and memory grow from one size to the next. */
function growth(sizes: Report['sizes']): string {
  const names = Object.keys(sizes);
  const titles = Object.values(sizes)[0]?.map(({ title }) => title) ?? [];
  const rows = titles.map((title) => {
    const cells = names.map((name) => {
      const ours = sizes[name]?.find((result) => result.title === title)?.ours;
      return ours === undefined ? '' : `${ours.seconds.toFixed(2)}, ${megabytes(ours.peakBytes)}`;
    });
    return `| ${title} | ${cells.join(' | ')} |`;
  });
  return [
    `| ours: s, peak MB | ${names.join(' | ')} |`,
    `| --- |${' --- |'.repeat(names.length)}`,
    ...rows,
  ].join('\n');
}

/** The whole of `docs/performance.md`. */
export function document(report: Report): string {
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  const sections = Object.entries(report.sizes).map(
    ([size, results]) => `## Store of size ${size}\n\n${table(results)}\n`,
  );
  return `# Performance

Written by \`npm run bench -- --write\` on ${report.date}: ${report.machine}; ${versions.join(', ')}. Medians of
${String(report.runs)} runs each, ours and the rival's in turn. A ratio is our time over the rival's in neighbouring runs. Peak
memory is the sum over the processes of a command. Size 1x is an export of about 700 MB (\`test/fixtures/store-spec.ts\`).

${sections.join('\n')}
## Growth

${growth(report.sizes)}
`;
}
