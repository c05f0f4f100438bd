/** Why an Endo archive is not a sound one. */
export class EndoArchiveError extends Error {
  /** Hashes as lower-case hex, where hashes differ. */
  readonly expected: string | undefined;
  readonly found: string | undefined;

  constructor(
    reason: string,
    facts: { expected?: string | undefined; found?: string | undefined; cause?: unknown } = {},
  ) {
    super(reason, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.expected = facts.expected;
    this.found = facts.found;
  }
}

const textDecoder = new TextDecoder();

/**
 * Parses JSON out of a file of an archive. Invalid UTF-8 is replaced and a byte order mark dropped, as Endo does.
 * @throws EndoArchiveError if it is not JSON
 */
export function decodeArchivedJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(textDecoder.decode(bytes));
  } catch (cause) {
    throw new EndoArchiveError(`${path} is not JSON`, { cause });
  }
}
