/**
 * Errors, for the person at the terminal and for programs that branch on them.
 *
 * Every error that swingsnap raises on purpose is a {@link SwingSnapError}: a one-line message, the facts (`path`,
 * `expected`, `found`), and a hint that names the next thing to type. The subclasses are the few kinds that callers
 * branch on; each has one exit code.
 */

/** Exit codes of every command, the same in text and under `--json`. */
export const EXIT_CODES = {
  done: 0,
  failed: 1,
  usage: 2,
  verification: 3,
  busy: 4,
  notFound: 5,
  storage: 6,
  timeout: 7,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

/** The facts that accompany an error's message. */
export interface ErrorFacts {
  /** The file, directory or name that the error is about. */
  readonly path?: string | undefined;
  readonly expected?: string | number | undefined;
  readonly found?: string | number | undefined;
  /** The next thing to do, as a sentence that names a command where there is one. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** An error raised by swingsnap: `code` for programs, `message` and `hint` for people. Exit code 1. */
export class SwingSnapError extends Error {
  readonly code: string;
  readonly exitCode: ExitCode = EXIT_CODES.failed;
  readonly path: string | undefined;
  readonly expected: string | number | undefined;
  readonly found: string | number | undefined;
  readonly hint: string | undefined;

  /**
   * @param code upper-case words with underscores, stable between versions
   * @param message one line, without what is in `facts`
   */
  constructor(code: string, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = code;
    this.path = facts.path;
    this.expected = facts.expected;
    this.found = facts.found;
    this.hint = facts.hint;
  }
}

/** The command does not support what was asked for. Exit code 2. */
export class UsageError extends SwingSnapError {
  override readonly exitCode = EXIT_CODES.usage;
}

/** Content does not match its hashes, records or names. Exit code 3. */
export class VerificationError extends SwingSnapError {
  override readonly exitCode = EXIT_CODES.verification;
}

/** Another operation is in progress. Exit code 4. */
export class BusyError extends SwingSnapError {
  override readonly exitCode = EXIT_CODES.busy;
}

/** The named thing does not exist. Exit code 5. */
export class NotFoundError extends SwingSnapError {
  override readonly exitCode = EXIT_CODES.notFound;
}

/** A disk or storage cannot be read or written: no space, no permission, unreachable. Exit code 6. */
export class StorageError extends SwingSnapError {
  override readonly exitCode = EXIT_CODES.storage;
}

/** A time limit expired, or something is too old. Exit code 7. */
export class TimeoutError extends SwingSnapError {
  override readonly exitCode = EXIT_CODES.timeout;
}

/** A signal stopped the command. Exit code 130 for SIGINT, 143 for SIGTERM. */
export class InterruptedError extends SwingSnapError {
  override readonly exitCode: ExitCode;
  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super('INTERRUPTED', `stopped by ${signal}`);
    this.exitCode = signal === 'SIGINT' ? EXIT_CODES.interrupted : EXIT_CODES.terminated;
  }
}
