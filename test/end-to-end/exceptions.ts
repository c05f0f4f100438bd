/**
 * Where swingsnap and the reference judge an export directory differently, on purpose. Every entry has its tests in
 * the tables of mutations beside this file; docs/design.md carries the same list. There are no other differences.
 */

export interface Exception {
  /** What the reference says, and what we say; where both accept, the stores differ. */
  readonly verdicts: readonly [reference: Verdict, ours: Verdict];
  readonly reason: string;
}

type Verdict = 'accepted' | 'refused';

export const EXCEPTIONS = {
  'path outside the export': {
    verdicts: ['accepted', 'refused'],
    reason:
      'A file name that leads out of the directory is refused even where the file is not read; the reference looks ' +
      'at the start of the path only, and only when it reads.',
  },
  'hostile id': {
    verdicts: ['accepted', 'refused'],
    reason:
      'Names of artifacts become file names and tar entries: ids with "/", "\\", ".", white space, control ' +
      'characters or half a surrogate pair, of more than 200 bytes, or that are no text are refused, in names and ' +
      'in records.',
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
      'Positions and incarnations count: one that is negative, fractional, null, beyond the safe integers or no ' +
      'number is refused; the reference stores it.',
  },
  'artifact listed twice': {
    verdicts: ['accepted', 'refused'],
    reason: 'The reference takes the last file of that name; which one was meant cannot be told.',
  },
  'another type': {
    verdicts: ['accepted', 'refused'],
    reason:
      'A value of a type that no exporter writes is refused, where the reference converts it (a number as a hash, ' +
      'an array as a record) or has no need to look (a manifest entry that is no pair of strings).',
  },
  'keys only': {
    verdicts: ['refused', 'accepted'],
    reason: 'An export whose records ask for no artifact is whole without any.',
  },
  'no height in the manifest': {
    verdicts: ['refused', 'accepted'],
    reason: 'The Go side leaves zero values out, so a manifest without blockHeight is of height 0.',
  },
  'half a surrogate pair on Node 20': {
    verdicts: ['accepted', 'accepted'],
    reason:
      'No UTF-8 holds half a surrogate pair: it becomes U+FFFD, here on every Node and in the reference from Node 22 ' +
      'on. On Node 20 the reference stores three bytes that are not UTF-8, and so another key for each half.',
  },
} as const satisfies Record<string, Exception>;

export type ExceptionName = keyof typeof EXCEPTIONS;

/** Whether the reference has better-sqlite3 12, which hands such bytes to SQLite. */
export const REFERENCE_KEEPS_HALVES = process.version.startsWith('v20.');
