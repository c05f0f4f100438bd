/** Errors across threads: a structured clone would lose their class and their facts. */
import * as errors from '../../errors.ts';
import { SwingSnapError, type ErrorFacts } from '../../errors.ts';

/** What became of a task. */
export type Outcome<Output> = { readonly output: Output } | { readonly failure: Failure };

interface Failure {
  /** Name of the class, of `errors.ts`; undefined for errors of others, which are cloned. */
  readonly kind: string | undefined;
  readonly code: string;
  readonly message: string;
  readonly facts: ErrorFacts;
  readonly error: unknown;
}

/** An error as a message for another thread. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof SwingSnapError)) {
    return { kind: undefined, code: '', message: '', facts: {}, error };
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
  return { kind: name, code, message, facts, error: undefined };
}

const CLASSES: Record<string, unknown> = errors;

/** The error that a {@link failureOf} tells of. */
export function errorOf({ kind, code, message, facts, error }: Failure): unknown {
  if (kind === undefined) return error;
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
