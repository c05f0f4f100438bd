/**
 * How a command line asks to be answered. The raw words are read, because a command line that does not parse must also
 * be answered so.
 */
export interface Asked {
  /** `--json`: one object on stdout. */
  readonly json: boolean;
  /** `--quiet`: nothing but errors. */
  readonly quiet: boolean;
  /** `--progress json`: all lines on stderr are objects. */
  readonly jsonLines: boolean;
}

export function askedBy(argv: readonly string[]): Asked {
  const end = argv.indexOf('--');
  const words = end === -1 ? argv : argv.slice(0, end);
  const has = (...spellings: readonly string[]): boolean =>
    words.some((word) => spellings.includes(word));
  return {
    json: has('--json'),
    quiet: has('--quiet', '-q'),
    jsonLines:
      has('--progress=json') ||
      words.some((word, at) => word === '--progress' && words[at + 1] === 'json'),
  };
}
