/** The races on a real store: every command beside the floor, the reference and the shell's tools. */
import { join } from 'node:path';
import {
  newBytes,
  pathOf,
  quoted,
  REFERENCE,
  SWINGSNAP,
  type Contender,
  type Race,
  type Rival,
} from '../contenders.ts';
import type { RealStore } from './stores.ts';

export interface RealGround extends RealStore {
  /** The directory of all that the runs make. */
  readonly work: string;
  /** Threads of our commands, and of the floor. */
  readonly threads: number;
}

/** What the table of sizes looks for. */
export const TITLES = {
  retrieve: 'retrieve from the live store',
  again: 'the same height again',
} as const;
export const NAMES = {
  floor: 'floor',
  tar: 'reference export, then tar | zstd -3 -T0',
  long: 'reference export, then tar | zstd -3 --long=27 -T0',
} as const;

/** No node runs here that ours would have to leave the machine to; a rival leaves nothing. */
const BESIDE_NOTHING = ['--nice', '0'];

/** The title of the race at a later height: `h+1`. */
export const laterTitle = (label: string): string => `retrieve at ${label}`;

/** In an order in which each race finds what earlier ones made. */
export function realRaces(ground: RealGround): readonly Race[] {
  const { stateDir, mode, work, threads, targets } = ground;
  const exportDir = join(work, 'export');
  const snapshots = join(work, 'snapshots');
  const second = join(work, 'second');
  const restored = join(work, 'restored');
  const unpacked = join(work, 'unpacked');
  const tarball = join(work, 'export.tar.zst');
  const longTarball = join(work, 'export.long.tar.zst');

  const floor = (operation: string, from: string, to?: string): Contender => ({
    name: NAMES.floor,
    command: [
      process.execPath,
      pathOf('./floor.js'),
      ...[operation, from, ...(to === undefined ? [] : [to])],
      ...['--threads', `${threads}`, ...(mode === 'archival' ? ['--history'] : [])],
    ],
    ...(to === undefined ? {} : { makes: to }),
  });
  const ours = (verb: string, ...words: readonly string[]): readonly string[] => [
    ...SWINGSNAP,
    verb,
    ...words,
    '--concurrency',
    `${threads}`,
    '--json',
  ];
  const live = (from: string, to: string, ...flags: readonly string[]): readonly string[] =>
    ours(
      'retrieve',
      ...['--state-dir', from, '--artifact-mode', mode, '--snapshot-dir', to, ...BESIDE_NOTHING],
      ...flags,
    );
  const referenceExport = `rm -rf ${quoted([exportDir])} && mkdir -p ${quoted([exportDir])} && ${quoted([...REFERENCE, 'export', stateDir, exportDir, mode])}`;
  const pack = (to: string, flags: string): string =>
    `tar -C ${quoted([exportDir])} -c . | zstd -q -3 ${flags} -T0 -f -o ${quoted([to])}`;
  const rival = (name: string, command: string, makes: string, target?: number): Rival => ({
    name,
    command,
    makes,
    target,
  });
  /** Ours in a snapshot dir that has the snapshot of the store already; beside it, the same in a new one. */
  const later = (
    title: string,
    from: string,
    target: number | undefined,
    ...flags: readonly string[]
  ): Race => ({
    title,
    ours: {
      name: 'retrieve',
      before: `cp -rl ${quoted([snapshots])} ${quoted([second])}`,
      command: live(from, second, ...flags),
      after: ours('verify', second),
      makes: second,
      madeBytes: async () => newBytes(snapshots, second),
    },
    rivals: [
      {
        name: 'in a new snapshot dir',
        command: live(from, join(work, 'first'), '--create'),
        makes: join(work, 'first'),
        target,
      },
    ],
  });

  return [
    {
      title: 'export',
      ours: {
        name: 'export',
        command: ours(
          'export',
          ...['--state-dir', stateDir, '--artifact-mode', mode, '--export-dir', exportDir],
          ...BESIDE_NOTHING,
        ),
        makes: exportDir,
      },
      rivals: [
        {
          ...floor('export', stateDir, join(work, 'floor-export')),
          target: targets?.exportOverFloor,
        },
        rival('reference', referenceExport, exportDir, targets?.exportOverReference),
      ],
    },
    {
      title: 'retrieve from a directory',
      ours: {
        name: 'retrieve',
        command: ours(
          'retrieve',
          ...['--create', '--export-dir', exportDir, '--keep-export', '--snapshot-dir', snapshots],
        ),
        makes: snapshots,
      },
      rivals: [
        {
          ...floor('retrieve-dir', exportDir, join(work, 'floor-of-export')),
          target: targets?.directoryOverFloor,
        },
        rival('tar | zstd -3 -T0', pack(tarball, ''), tarball),
        rival('tar | zstd -3 --long=27 -T0', pack(longTarball, '--long=27'), longTarball),
      ],
    },
    {
      title: TITLES.retrieve,
      ours: { name: 'retrieve', command: live(stateDir, snapshots, '--create'), makes: snapshots },
      rivals: [
        {
          ...floor('retrieve', stateDir, join(work, 'floor-snapshot')),
          target: targets?.retrieveOverFloor,
        },
        rival(
          NAMES.tar,
          `${referenceExport} && ${pack(tarball, '')}`,
          tarball,
          targets?.retrieveOverTar,
        ),
        rival(NAMES.long, `${referenceExport} && ${pack(longTarball, '--long=27')}`, longTarball),
      ],
    },
    later(TITLES.again, stateDir, targets?.again),
    later('the same height again, --replace', stateDir, targets?.again, '--replace'),
    ...ground.later.map(([label, dir]) => later(laterTitle(label), dir, undefined)),
    {
      title: 'verify',
      ours: { name: 'verify', command: ours('verify', snapshots) },
      rivals: [
        { ...floor('verify', join(work, 'floor-snapshot')), target: targets?.verifyOverFloor },
      ],
    },
    {
      title: 'restore',
      ours: {
        name: 'restore',
        command: ours('restore', snapshots, '--state-dir', restored),
        makes: restored,
      },
      rivals: [
        {
          ...floor('restore', join(work, 'floor-snapshot'), join(work, 'floor-restored')),
          target: targets?.restoreOverFloor,
        },
        rival(
          'zstd -dc | tar -x, then reference import',
          `rm -rf ${quoted([unpacked])} && mkdir -p ${quoted([unpacked])} && zstd -q -dc ${quoted([tarball])} | tar -x -C ${quoted([unpacked])} && ${quoted([...REFERENCE, 'import', unpacked, restored])}`,
          restored,
          targets?.restoreOverReference,
        ),
      ],
    },
  ];
}
