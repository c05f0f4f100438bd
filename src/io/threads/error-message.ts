/** Errors across threads: a structured clone would lose their class and their facts. */
import * as errors from '../../errors.ts';
import { EXIT_CODES, InterruptedError, SwingSnapError, type ErrorFacts } from '../../errors.ts';

/** What became of a task. */
export type Outcome<Output> = { readonly output: Output } | { readonly failure: Failure };

/** An error of `errors.ts`, or of others: of those, what the system and SQLite tell a cause by is kept. */
type Failure =
  | {
      /** Name of the class. */
      readonly kind: string;
      readonly code: string;
      readonly exitCode: number;
      readonly message: string;
      readonly facts: ErrorFacts;
    }
  | { readonly message: string; readonly marks: Readonly<Record<string, unknown>> };

/** Properties that errors of Node and of better-sqlite3 have. A clone would lack them, and be no error at all of the latter. */
const MARKS = ['name', 'stack', 'code', 'errno', 'syscall', 'path'] as const;

/** An error as a message for another thread. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof SwingSnapError)) {
    const marks: Record<string, unknown> = {};
    for (const name of MARKS) {
      if (error instanceof Error && name in error) marks[name] = Reflect.get(error, name);
    }
    return { message: error instanceof Error ? error.message : String(error), marks };
  }
  const { name, code, exitCode, message, path, expected, found, hint, cause } = error;
  // Of the cause, the text: what it is made of may not be cloneable.
  const facts = {
    path,
    expected,
    found,
    hint,
    cause: cause instanceof Error ? cause.stack : cause,
  };
  return { kind: name, code, exitCode, message, facts };
}

const CLASSES: Record<string, unknown> = errors;

/** The error that a {@link failureOf} tells of. */
export function errorOf(failure: Failure): Error {
  if ('marks' in failure) return Object.assign(new Error(failure.message), failure.marks);
  const { kind, code, exitCode, message, facts } = failure;
  // The one class that is made of a signal.
  if (kind === InterruptedError.name) {
    return new InterruptedError(exitCode === EXIT_CODES.terminated ? 'SIGTERM' : 'SIGINT');
  }
  const found = CLASSES[kind];
  const ErrorClass = isErrorClass(found) ? found : SwingSnapError;
  return new ErrorClass(code, message, facts);
}

function isErrorClass(found: unknown): found is typeof SwingSnapError {
  return (
    typeof found === 'function' &&
    (found === SwingSnapError || found.prototype instanceof SwingSnapError)
  );
}
