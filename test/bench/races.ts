/** What is raced: each of our commands beside what does the same work without us, and what readies the ground. */
import { fileURLToPath } from 'node:url';
import type { Command } from './measure.ts';

/** Directories of one benchmark: the store, and what the runs make of it. */
export interface Ground {
  readonly store: string;
  readonly export: string;
  readonly snapshots: string;
  readonly restored: string;
  readonly tarball: string;
  readonly unpacked: string;
}

export interface Contender {
  readonly name: string;
  readonly command: Command;
  /** What the run makes: removed before the run, and its size is told. */
  readonly makes?: string;
}

export interface Race {
  readonly title: string;
  readonly ours: Contender;
  readonly rival: Contender;
  /** Our time over the rival's, at most. */
  readonly target: number;
}

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const SWINGSNAP = [process.execPath, pathOf('../../bin/run.js')];
const REFERENCE = [process.execPath, pathOf('./reference-run.js')];

const quoted = (parts: readonly string[]): string =>
  parts.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(' ');

/**
 * In an order in which each race finds what earlier ones made: the export directory, the snapshot and the tarball are
 * those of the last run before.
 */
export function racesOn(ground: Ground): readonly Race[] {
  const { store, snapshots, restored, tarball, unpacked } = ground;
  const exportDir = ground.export;
  const pack = `tar -C ${quoted([exportDir])} -c . | zstd -q -3 -T2 -f -o ${quoted([tarball])}`;
  const unpack = `mkdir -p ${quoted([unpacked])} && zstd -q -dc ${quoted([tarball])} | tar -x -C ${quoted([unpacked])}`;
  const referenceExport: Contender = {
    name: 'reference export',
    command: `mkdir -p ${quoted([exportDir])} && ${quoted([...REFERENCE, 'export', store, exportDir])}`,
    makes: exportDir,
  };
  const restore: Contender = {
    name: 'restore',
    command: [...SWINGSNAP, 'restore', snapshots, '--state-dir', restored, '--json'],
    makes: restored,
  };
  const retrieve = (...from: readonly string[]): Contender => ({
    name: 'retrieve',
    command: [...SWINGSNAP, 'retrieve', ...from, '--snapshot-dir', snapshots, '--json'],
    makes: snapshots,
  });
  return [
    {
      title: 'export to a directory',
      ours: {
        name: 'export',
        command: [
          ...SWINGSNAP,
          'export',
          '--state-dir',
          store,
          '--export-dir',
          exportDir,
          '--json',
        ],
        makes: exportDir,
      },
      rival: referenceExport,
      target: 1 / 4,
    },
    {
      title: 'retrieve from an export directory',
      ours: retrieve('--export-dir', exportDir, '--keep-export'),
      rival: { name: 'tar | zstd -3 -T2', command: pack, makes: tarball },
      target: 1.5,
    },
    {
      title: 'retrieve from the live store',
      ours: retrieve('--state-dir', store),
      rival: {
        name: 'reference export, then tar | zstd -3 -T2',
        command: `rm -rf ${quoted([exportDir])} && ${String(referenceExport.command)} && ${pack}`,
        makes: tarball,
      },
      target: 1 / 4,
    },
    {
      title: 'restore from a snapshot',
      ours: restore,
      rival: {
        name: 'zstd -dc | tar -x, then reference import',
        command: `rm -rf ${quoted([unpacked])} && ${unpack} && ${quoted([...REFERENCE, 'import', unpacked, restored])}`,
        makes: restored,
      },
      target: 1 / 5,
    },
    {
      title: 'verify',
      ours: { name: 'verify', command: [...SWINGSNAP, 'verify', snapshots, '--json'] },
      rival: restore,
      target: 1,
    },
    {
      title: 'verify --quick',
      ours: {
        name: 'verify --quick',
        command: [...SWINGSNAP, 'verify', snapshots, '--quick', '--json'],
      },
      rival: {
        name: 'sha256sum',
        command: `find ${quoted([snapshots])} -type f -print0 | xargs -0 sha256sum`,
      },
      target: 1.3,
    },
    {
      title: 'start-up',
      ours: { name: 'swingsnap --version', command: [...SWINGSNAP, '--version'] },
      rival: { name: 'node -e 0', command: [process.execPath, '-e', '0'] },
      target: 4,
    },
  ];
}
