/** Errors across threads. A structured clone would lose their class and their facts. */
import * as errors from '../../errors.ts';
import { EXIT_CODES, InterruptedError, SwingSnapError, type ErrorFacts } from '../../errors.ts';

/** The outcome of a task. */
export type Outcome<Output> = { readonly output: Output } | { readonly failure: Failure };

/** An error of `errors.ts`, or another error with the properties that identify system and SQLite errors. */
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

/** Properties of Node and better-sqlite3 errors. A clone lacks them; a clone of the latter is not even an error. */
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
  // Only the text of the cause: the cause itself may not be cloneable.
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

/** Rebuilds the error from a {@link failureOf} message. */
export function errorOf(failure: Failure): Error {
  if ('marks' in failure) return Object.assign(new Error(failure.message), failure.marks);
  const { kind, code, exitCode, message, facts } = failure;
  // The only class whose constructor takes a signal.
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
