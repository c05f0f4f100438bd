/**
 * Where swingsnap and the reference judge an export directory differently, on purpose. Every entry has its tests in the
 * tables of mutations beside this file; docs/design.md has the same list. There are no other differences.
 */

export interface Exception {
  /** The verdict of the reference, and ours. If both accept, the stores differ. */
  readonly verdicts: readonly [reference: Verdict, ours: Verdict];
  readonly reason: string;
}

type Verdict = 'accepted' | 'refused';

export const EXCEPTIONS = {
  'path outside the export': {
    verdicts: ['accepted', 'refused'],
    reason:
      'A file name that leads out of the directory is refused, even if the file is not read. The reference looks ' +
      'only at the start of the path, and only when it reads the file.',
  },
  'hostile id': {
    verdicts: ['accepted', 'refused'],
    reason:
      'Names of artifacts become file names and tar entries. An id is refused, in names and in records, if it is ' +
      'not text, has more than 200 bytes, or holds "/", "\\", ".", white space, control characters or half a ' +
      'surrogate pair.',
  },
  'another spelling of a name': {
    verdicts: ['accepted', 'refused'],
    reason:
      'An artifact has one name: "snapshot.v1.09" is not "snapshot.v1.9", though the reference reads the number.',
  },
  'no block height': {
    verdicts: ['accepted', 'refused'],
    reason: 'No block has a negative or fractional height, or one beyond the safe integers.',
  },
  'no position': {
    verdicts: ['accepted', 'refused'],
    reason:
      'Positions and incarnations are counts. One that is negative, fractional, null, beyond the safe integers or ' +
      'not a number is refused. The reference stores it.',
  },
  'artifact listed twice': {
    verdicts: ['accepted', 'refused'],
    reason: 'The reference takes the last file of that name. Which file was meant is unknown.',
  },
  'another type': {
    verdicts: ['accepted', 'refused'],
    reason:
      'A value of a type that no exporter writes is refused. The reference converts it (a number as a hash, an ' +
      'array as a record) or does not look at it (a manifest entry that is not a pair of strings).',
  },
  'keys only': {
    verdicts: ['refused', 'accepted'],
    reason: 'An export whose records need no artifacts is complete without any.',
  },
  'no height in the manifest': {
    verdicts: ['refused', 'accepted'],
    reason: 'The Go side leaves out zero values, so a manifest without blockHeight has height 0.',
  },
  'half a surrogate pair on Node 20': {
    verdicts: ['accepted', 'accepted'],
    reason:
      'UTF-8 cannot hold half a surrogate pair. It becomes U+FFFD, here on every Node and in the reference from Node ' +
      '22 on. On Node 20 the reference stores three bytes that are not UTF-8, and so another key for each half.',
  },
} as const satisfies Record<string, Exception>;

export type ExceptionName = keyof typeof EXCEPTIONS;

/** Whether the reference has better-sqlite3 12, which passes half a surrogate pair on to SQLite. */
export const REFERENCE_KEEPS_HALVES = process.version.startsWith('v20.');
