/**
 * Flags that several commands share. A command spreads the ones it needs into its own `flags`.
 *
 * `exclusive` flags declare no `env`. oclif treats a value from the environment as given: with `AGORIC_HOME` set for the
 * whole machine, it would refuse `--state-dir`. locations.ts reads those variables instead.
 */
import * as Args from '@oclif/core/args';
import { CLIError } from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import { EXIT_CODES, UsageError } from '../../errors.ts';
import { DEFAULT_GZIP_LEVEL } from '../../formats/swing-store/heap-blob.ts';
import { refuseSilent } from '../../io/disks/answering.ts';
import type { AwaitedHeight } from '../../operation/store-view/await-height.ts';
import { ARTIFACT_MODES, RESTORE_MODES } from '../../swing-store-export/artifact-mode.ts';
import { parsePath } from './path.ts';

/** Groups of flags in the help, in this order. */
export const FLAG_GROUPS = [
  'SOURCE',
  'DESTINATION',
  'RETENTION',
  'TIMING',
  'PROOF',
  'TUNING',
  'OUTPUT',
] as const;
export const [SOURCE, DESTINATION, RETENTION, TIMING, PROOF, TUNING, OUTPUT] = FLAG_GROUPS;

/** Every command has these. */
export const baseFlags = {
  json: Flags.boolean({
    summary: 'Print one JSON object on stdout instead of text.',
    helpGroup: OUTPUT,
  }),
  quiet: Flags.boolean({
    char: 'q',
    summary: 'Print nothing but errors.',
    helpGroup: OUTPUT,
  }),
  progress: Flags.option({
    summary:
      'Progress on stderr: as fits a terminal or a log, as one JSON object a line, or none. [default: auto]',
    options: ['auto', 'json', 'none'] as const,
    exclusive: ['quiet'],
    helpGroup: OUTPUT,
  })(),
};

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** A number of bytes, plain or with a unit: `16777216`, `16MiB`, `10GB`. */
export const byteSize = Flags.custom<number>({
  helpValue: 'SIZE',
  parse: (input) => {
    const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/u.exec(input) ?? [];
    const factor = UNITS[unit];
    if (digits !== '' && factor !== undefined)
      return Promise.resolve(Math.floor(Number(digits) * factor));
    throw new CLIError(`expected a size like 16MiB or 10GB, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
});

/** A safe integer of at least `min` (default 0). */
export const wholeNumber = Flags.custom<number, { min?: number }>({
  parse: (input, _context, { min = 0 }) => {
    const value = Number(input);
    const fits = Number.isSafeInteger(value) && value >= min;
    if (/^\d+$/.test(input) && fits) return Promise.resolve(value);
    throw new CLIError(`expected a whole number of at least ${min}, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
});

/** Rejects a path on a disk that does not answer: a call to it could not be ended. */
export const parseAnswering = async (input: string): Promise<string> => {
  const path = await parsePath(input);
  await refuseSilent(path);
  return path;
};

/** A share of a whole: `5%`, `0.5%`. Parsed to a number above 0 and at most 1. */
export const share = Flags.custom<number>({
  helpValue: 'N%',
  parse: (input) => {
    const [, digits = ''] = /^(\d+(?:\.\d+)?)%$/u.exec(input) ?? [];
    const value = Number(digits) / 100;
    if (value > 0 && value <= 1) return Promise.resolve(value);
    throw new CLIError(`expected a share like 5% or 0.5%, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
});

/** A path of a directory or a file. */
export const directory = Flags.custom({ parse: parseAnswering });

/** The same for a command that can do something about a disk that does not answer. */
export const silentDirectory = Flags.custom({ parse: parsePath });

/** Where the SwingStore is: resolve with `locateStateDir`. */
export const stateDirFlags = {
  'state-dir': directory({
    char: 'S',
    helpGroup: SOURCE,
    summary: 'Directory that holds swingstore.sqlite.',
    helpValue: 'DIR',
  }),
  home: directory({
    char: 'H',
    helpGroup: SOURCE,
    summary:
      'Home of the node; its state dir is data/agoric. [default: ~/.agoric, env: AGORIC_HOME]',
    exclusive: ['state-dir'],
    helpValue: 'DIR',
  }),
};

/** Where `restore` writes, which it never chooses itself: resolve with `chooseDestination`. */
export const destinationFlags = {
  'state-dir': directory({
    char: 'S',
    helpGroup: DESTINATION,
    summary: 'Directory for swingstore.sqlite; the directory above it must exist.',
    helpValue: 'DIR',
  }),
  home: directory({
    char: 'H',
    helpGroup: DESTINATION,
    summary: 'Home of the node, which must exist; its state dir is data/agoric. [env: AGORIC_HOME]',
    exclusive: ['state-dir'],
    helpValue: 'DIR',
  }),
};

/** For a command that requires an export directory. */
export const exportDirFlag = directory({
  char: 'e',
  helpGroup: DESTINATION,
  summary: 'Export directory.',
  env: 'SWINGSNAP_EXPORT_DIR',
  required: true,
  helpValue: 'DIR',
});

/** For a command that reads an export directory or a store: resolve with `chooseSource`. */
export const exportDirOrStoreFlag = directory({
  char: 'e',
  helpGroup: SOURCE,
  summary: 'Export directory to read. [env: SWINGSNAP_EXPORT_DIR]',
  exclusive: ['state-dir', 'home'],
  helpValue: 'DIR',
});

/** For a command that can also read any other form. */
export const fromFlag = directory({
  char: 'f',
  helpGroup: SOURCE,
  summary: 'State-sync snapshot, snapshot or export directory to read; it is not changed.',
  exclusive: ['export-dir', 'state-dir', 'home'],
  helpValue: 'SOURCE',
});

/** For `export`: replaces the store. */
export const exportFromFlag = directory({
  char: 'f',
  helpGroup: SOURCE,
  summary:
    'State-sync snapshot, snapshot or export directory to export instead of a store; it is not changed.',
  exclusive: ['state-dir', 'home'],
  helpValue: 'SOURCE',
});

export const snapshotDirFlag = directory({
  char: 's',
  helpGroup: DESTINATION,
  summary: 'Directory that holds the snapshots, one directory per height.',
  env: 'SWINGSNAP_SNAPSHOT_DIR',
  required: true,
  helpValue: 'DIR',
});

export const scratchDirFlag = directory({
  helpGroup: TUNING,
  summary: 'Directory for scratch files. [default: beside the output]',
  env: 'SWINGSNAP_SCRATCH_DIR',
  helpValue: 'DIR',
});

export const artifactModeFlag = Flags.option({
  helpGroup: SOURCE,
  summary: 'Which artifacts the export contains.',
  options: ARTIFACT_MODES,
});

export const restoreModeFlag = Flags.option({
  helpGroup: DESTINATION,
  summary: 'Which artifacts the store must contain.',
  options: RESTORE_MODES,
});

export const heightFlag = wholeNumber({
  char: 'n',
  helpGroup: SOURCE,
  summary: 'Block height: which of several to take; otherwise fail unless the source is at it.',
  helpValue: 'N',
});

export const concurrencyFlag = wholeNumber({
  char: 'j',
  helpGroup: TUNING,
  summary:
    'Worker threads that compress, hash and check. [default: one per processor, beside a live store one for two, each with 150 MB of at most a quarter of the memory]',
  helpValue: 'N',
  min: 1,
});

/** For commands that may run beside a node. */
export const niceFlag = Flags.custom<number>({
  helpGroup: TUNING,
  summary: 'Niceness, 0 to 19, unless it is greater already. [default: 10 beside a live store]',
  env: 'SWINGSNAP_NICE',
  helpValue: 'N',
  parse: (input) => {
    if (/^1?[0-9]$/.test(input)) return Promise.resolve(Number(input));
    throw new CLIError(`expected a niceness from 0 to 19, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
})();

/** zlib's compression levels. */
export const gzipLevelFlag = Flags.custom<number>({
  helpGroup: TUNING,
  summary: 'gzip level of heap snapshots in the new store, 1 to 9.',
  helpValue: 'N',
  default: DEFAULT_GZIP_LEVEL,
  parse: (input) => {
    if (/^[1-9]$/.test(input)) return Promise.resolve(Number(input));
    throw new CLIError(`expected a level from 1 to 9, found ${input}`, { exit: EXIT_CODES.usage });
  },
})();

export const checkFlag = Flags.boolean({
  char: 'c',
  helpGroup: OUTPUT,
  summary: 'Check free space, permissions and codec, and do nothing else.',
});

/** For every command that a machine runs by itself, night after night. The base command does the rest. */
export const metricsFileFlag = directory({
  helpGroup: OUTPUT,
  summary: 'Write what a monitor must know of this run to this file, for node_exporter: NAME.prom.',
  helpValue: 'FILE',
  // These end before the work is done, or do none: a monitor would take them for a success.
  exclusive: ['check', 'detach', 'dry-run'],
});

/** What a state-sync snapshot is checked against. */
export const trustFlags = {
  'app-hash': Flags.string({
    char: 'a',
    helpGroup: PROOF,
    summary: 'AppHash that a state-sync snapshot must have: header.app_hash of the next block.',
    helpValue: 'HEX',
    parse: (input) => {
      if (/^[0-9a-f]{64}$/iu.test(input)) return Promise.resolve(input.toUpperCase());
      throw new CLIError(`expected an AppHash of 64 hex digits, found ${input}`, {
        exit: EXIT_CODES.usage,
      });
    },
  }),
  'mem-store': Flags.string({
    helpGroup: PROOF,
    summary: 'Memory store that the chain includes in its AppHash; may be repeated.',
    helpValue: 'NAME',
    multiple: true,
    multipleNonGreedy: true,
  }),
};

export const requireProofFlag = Flags.boolean({
  helpGroup: PROOF,
  summary: 'Fail unless a trusted hash proves the source: --expect or --app-hash.',
});

/** SOURCE of restore and verify. Never read from stdin: under cron, stdin is a pipe that nothing writes to. */
export const sourceArg = Args.string({
  name: 'source',
  description:
    'A snapshot, a directory of snapshots (the newest is used), an export directory, or a state-sync snapshot: ' +
    'its chunks, an archive made by `snapshots dump`, or the home of a node (the newest complete one is used).',
  required: true,
  ignoreStdin: true,
  parse: parseAnswering,
});

/** SNAPSHOT of show. */
export const snapshotArg = Args.string({
  name: 'snapshot',
  description: 'A snapshot, or a directory of snapshots (the newest is shown, or --height).',
  required: true,
  ignoreStdin: true,
  parse: parseAnswering,
});

/** SNAPSHOT… of remove. */
export const snapshotsArg = Args.string({
  name: 'snapshots',
  description: 'Snapshots, each named as <snapshot dir>/<height>.',
  required: true,
  multiple: true,
  ignoreStdin: true,
  parse: parseAnswering,
});

/** PLACE: resolve with `choosePlace`. */
export const placeArg = Args.string({
  name: 'place',
  description: 'Directory that holds the snapshots. [env: SWINGSNAP_SNAPSHOT_DIR]',
  ignoreStdin: true,
  parse: parseAnswering,
});

/** A time with its unit: `90s`, `30m`, `2h`, `30d`; plain digits are seconds. Parsed to milliseconds. */
export const duration = Flags.custom<number>({
  helpValue: 'TIME',
  parse: (input) => {
    const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/u.exec(input) ?? [];
    const factors: Readonly<Record<string, number>> = {
      ...{ ms: 1, s: 1e3, '': 1e3, m: 6e4 },
      ...{ h: 36e5, d: 864e5 },
    };
    const factor = factors[unit];
    if (digits !== '' && factor !== undefined) return Promise.resolve(Number(digits) * factor);
    throw new CLIError(`expected a time like 90s, 30m, 2h or 30d, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
});

/** Which commit of a live store to take, and how long to hold its view. */
export const storeViewFlags = {
  'at-height': wholeNumber({
    helpGroup: TIMING,
    summary: 'Wait until the store commits this height, and take exactly that commit.',
    helpValue: 'N',
    exclusive: ['every', 'height'],
  }),
  every: wholeNumber({
    helpGroup: TIMING,
    summary: 'Wait for the next height that is a multiple of N, and take exactly that commit.',
    helpValue: 'N',
    min: 1,
    exclusive: ['at-height', 'height'],
  }),
  timeout: duration({ helpGroup: TIMING, summary: 'Maximum time to wait for the height.' }),
  'max-wal': byteSize({
    helpGroup: TIMING,
    summary: "Stop if the node's -wal grows by more than this meanwhile. [default: 10GB]",
  }),
  'max-time': duration({
    helpGroup: TIMING,
    summary: 'Stop if the store is held for longer than this.',
  }),
};

/** What {@link storeViewFlags} mean to the library. */
export function storeView(flags: {
  readonly 'at-height'?: number | undefined;
  readonly every?: number | undefined;
  readonly timeout?: number | undefined;
  readonly 'max-wal'?: number | undefined;
  readonly 'max-time'?: number | undefined;
}): {
  awaited: AwaitedHeight | undefined;
  timeout: number | undefined;
  maxWal: number | undefined;
  maxTime: number | undefined;
} {
  const { 'at-height': atHeight, every, timeout } = flags;
  const awaited =
    atHeight !== undefined ? { atHeight } : every !== undefined ? { every } : undefined;
  if (timeout !== undefined && awaited === undefined) {
    throw new UsageError('USAGE', '--timeout needs --at-height or --every', {
      hint: 'leave it out, or limit the whole run with --max-time',
    });
  }
  return { awaited, timeout, maxWal: flags['max-wal'], maxTime: flags['max-time'] };
}

/** `--expect`: the content hash that `retrieve` printed. */
export const expectFlag = Flags.string({
  char: 'x',
  helpGroup: PROOF,
  summary: 'contentHash that the source must have, as printed by retrieve.',
  helpValue: 'HASH',
  parse: (input) => {
    const hash = input.toLowerCase();
    if (/^[0-9a-f]{64}$/u.test(hash)) return Promise.resolve(hash);
    throw new CLIError(`expected a contentHash of 64 hex digits, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
});
