/** The reason why an Endo archive is not sound. */
export class EndoArchiveError extends Error {
  /** Lower-case hex hashes, if hashes differ. */
  readonly expected: string | undefined;
  readonly found: string | undefined;

  constructor(reason: string, facts: { expected?: string; found?: string; cause?: unknown } = {}) {
    super(reason, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.expected = facts.expected;
    this.found = facts.found;
  }
}

const textDecoder = new TextDecoder();

/**
 * Parses a JSON file of an archive. As in Endo, invalid UTF-8 is replaced and a byte order mark is dropped.
 * @throws EndoArchiveError if it is not JSON
 */
export function decodeArchivedJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(textDecoder.decode(bytes));
  } catch (cause) {
    throw new EndoArchiveError(`${path} is not JSON`, { cause });
  }
}
