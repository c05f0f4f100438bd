/** The races: each of our commands beside a command that does the same work without us, and the preparations. */
import { availableParallelism } from 'node:os';
import {
  newBytes,
  pathOf,
  quoted,
  REFERENCE,
  SWINGSNAP,
  type Contender,
  type Race,
} from './contenders.ts';
import type { Command } from './measure.ts';

/** Directories of one benchmark: the store, and what the runs make from it. */
export interface Ground {
  readonly store: string;
  /** Copies of the store at its next height, with everything of two vats changed, or every hundredth key. */
  readonly changedVats: string;
  readonly changedKeys: string;
  readonly emptyStore: string;
  /** The directory of the following ones, and of what else a run makes. */
  readonly work: string;
  /** A snapshot dir with a very small snapshot in it. */
  readonly tinySnapshots: string;
  readonly export: string;
  readonly snapshots: string;
  readonly restored: string;
  readonly tarball: string;
  readonly unpacked: string;
  /** A snapshot dir for a second snapshot. */
  readonly second: string;
}

/** No node runs here that ours would have to leave the machine to; a rival leaves nothing. */
const BESIDE_NOTHING = ['--nice', '0', '--concurrency', `${availableParallelism()}`];

/**
 * In an order in which each race finds what earlier ones made. The export directory, the snapshot and the tarball come
 * from the last run before it.
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
    command: [...SWINGSNAP, 'retrieve', '--create', ...from, '--snapshot-dir', snapshots, '--json'],
    makes: snapshots,
  });
  const detach = (stateDir: string): Contender => {
    const dir = `${exportDir}-detached`;
    return {
      name: `export --detach${stateDir === store ? '' : ' of an empty store'}`,
      command: [
        ...SWINGSNAP,
        'export',
        '--state-dir',
        stateDir,
        '--export-dir',
        dir,
        '--detach',
        '--json',
      ],
      after: [...SWINGSNAP, 'discard', '--export-dir', dir, '--json'],
    };
  };
  const second = (title: string, changed: string, target: number | undefined): Race => ({
    title,
    ours: {
      name: 'retrieve',
      before: `cp -rl ${quoted([snapshots])} ${quoted([ground.second])}`,
      command: [
        ...SWINGSNAP,
        'retrieve',
        '--state-dir',
        changed,
        '--snapshot-dir',
        ground.second,
        ...BESIDE_NOTHING,
        '--json',
      ],
      after: [...SWINGSNAP, 'verify', ground.second, '--json'],
      makes: ground.second,
      madeBytes: async () => newBytes(snapshots, ground.second),
    },
    rivals: [
      {
        name: 'read and hash the export data',
        command: [process.execPath, pathOf('./hash-export-data.js'), changed],
        target,
      },
    ],
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
          ...BESIDE_NOTHING,
          '--json',
        ],
        makes: exportDir,
      },
      rivals: [{ ...referenceExport, target: 1 / 4 }],
    },
    {
      title: 'retrieve from an export directory',
      ours: retrieve('--export-dir', exportDir, '--keep-export'),
      rivals: [{ name: 'tar | zstd -3 -T2', command: pack, makes: tarball, target: 1.5 }],
    },
    {
      title: 'retrieve from the live store',
      ours: retrieve('--state-dir', store, ...BESIDE_NOTHING),
      rivals: [
        {
          name: 'reference export, then tar | zstd -3 -T2',
          command: `rm -rf ${quoted([exportDir])} && ${String(referenceExport.command)} && ${pack}`,
          makes: tarball,
          target: 1 / 4,
        },
      ],
    },
    {
      title: 'restore from a snapshot',
      ours: restore,
      rivals: [
        {
          name: 'zstd -dc | tar -x, then reference import',
          command: `rm -rf ${quoted([unpacked])} && ${unpack} && ${quoted([...REFERENCE, 'import', unpacked, restored])}`,
          makes: restored,
          target: 1 / 5,
        },
      ],
    },
    {
      title: 'verify',
      ours: { name: 'verify', command: [...SWINGSNAP, 'verify', snapshots, '--json'] },
      rivals: [{ ...restore, target: 1 }],
    },
    {
      title: 'verify --quick',
      ours: {
        name: 'verify --quick',
        command: [...SWINGSNAP, 'verify', snapshots, '--quick', '--json'],
      },
      rivals: [
        {
          name: 'sha256sum',
          command: `find ${quoted([snapshots])} -type f -print0 | xargs -0 sha256sum`,
          target: 1.3,
        },
      ],
    },
    second('a second snapshot, 2 vats changed', ground.changedVats, 1.25),
    second('a second snapshot, 1 % of the keys changed', ground.changedKeys, undefined),
    {
      title: '`started` after export --detach',
      ours: detach(store),
      rivals: [{ ...detach(ground.emptyStore), target: 1.2 }],
    },
    {
      title: 'verify of a tiny snapshot',
      ours: {
        name: 'verify',
        command: [...SWINGSNAP, 'verify', ground.tinySnapshots, '--json'],
      },
      rivals: [{ name: 'node -e 0', command: [process.execPath, '-e', '0'], target: 8 }],
    },
    {
      title: 'start-up',
      ours: { name: 'swingsnap --version', command: [...SWINGSNAP, '--version'] },
      rivals: [{ name: 'node -e 0', command: [process.execPath, '-e', '0'], target: 4 }],
    },
  ];
}

/** Makes the snapshot on which the start of `verify` is measured. */
export function makeTinySnapshot(store: string, snapshotDir: string): Command {
  return [
    ...SWINGSNAP,
    'retrieve',
    '--create',
    '--state-dir',
    store,
    '--snapshot-dir',
    snapshotDir,
    '--json',
  ];
}

/** Checks the `b1` bundles of an export directory, and prints bytes and milliseconds as JSON. */
export function checkBundles(exportDir: string): Command {
  return [process.execPath, pathOf('./check-bundles.js'), exportDir];
}

/** Measures what the machine can do with the content of a store, and prints it as JSON. */
export function measureFloors(stateDir: string, exportDir: string, scratchDir: string): Command {
  return [process.execPath, pathOf('./floors.js'), stateDir, exportDir, scratchDir];
}
