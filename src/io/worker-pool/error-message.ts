/** Errors across threads: a structured clone would lose their class and their facts. */
import * as errors from '../../errors.ts';
import { SwingSnapError, type ErrorFacts } from '../../errors.ts';

/** What became of a task. */
export type Outcome<Output> = { readonly output: Output } | { readonly failure: Failure };

/** An error of `errors.ts`, or of others: of those, what the system and SQLite tell a cause by is kept. */
type Failure =
  | {
      /** Name of the class. */
      readonly kind: string;
      readonly code: string;
      readonly message: string;
      readonly facts: ErrorFacts;
    }
  | { readonly error: unknown; readonly marks: Readonly<Record<string, unknown>> };

/** Properties that Node and better-sqlite3 give their errors, and a clone lacks. */
const MARKS = ['code', 'errno', 'syscall', 'path'] as const;

/** An error as a message for another thread. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof SwingSnapError)) {
    const marks: Record<string, unknown> = {};
    for (const name of MARKS) {
      if (error instanceof Error && name in error) marks[name] = Reflect.get(error, name);
    }
    return { error, marks };
  }
  const { name, code, message, path, expected, found, hint, cause } = error;
  // Of the cause, the text: what it is made of may not be cloneable.
  const facts = {
    path,
    expected,
    found,
    hint,
    cause: cause instanceof Error ? cause.stack : cause,
  };
  return { kind: name, code, message, facts };
}

const CLASSES: Record<string, unknown> = errors;

/** The error that a {@link failureOf} tells of. */
export function errorOf(failure: Failure): unknown {
  if ('error' in failure) {
    const { error, marks } = failure;
    return error instanceof Error ? Object.assign(error, marks) : error;
  }
  const { kind, code, message, facts } = failure;
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
