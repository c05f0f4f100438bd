/** Reports an error in the requested form, and sets the exit code. */

import type { Asked } from '../asked.ts';
import { eventLine } from '../progress/json-progress.ts';
import { runFacts } from '../run-facts.ts';
import { writeLines } from '../text/output.ts';
import { formatJson } from '../text/printable.ts';
import { debugLines, errorLines, reportError } from './exit.ts';

/** How to report an error. */
export interface Telling {
  /** What the user typed, for the hint to its help: `swingsnap export`. */
  readonly command: string;
  readonly asked: Asked;
  /** Commands or flags that the user may have meant. */
  readonly names?: readonly string[];
  /** Earlier notes, for the JSON object. In text mode they are already printed. */
  readonly notes?: readonly string[];
  /** The thrown value, if the reported error replaces it. */
  readonly cause?: unknown;
}

/**
 * Sets `process.exitCode` and reports the error on stderr, or as the one JSON object on stdout. If stdout fails, the
 * report goes to stderr. Never rejects.
 */
export async function tellError(
  error: unknown,
  { command, asked, names, notes = [], cause = error }: Telling,
): Promise<void> {
  const report = reportError(error, command, names);
  process.exitCode = report.exitCode;
  const stack = debugLines(cause, process.env);
  const onStderr = asked.jsonLines
    ? [eventLine('error', { error: report, ...(stack.length > 0 ? { stack } : {}) })]
    : stack;
  try {
    if (asked.json) {
      const object = { error: report, ...(notes.length > 0 ? { notes } : {}), ...runFacts() };
      await writeLines(process.stdout, [formatJson(object)]);
      await writeLines(process.stderr, onStderr);
      return;
    }
  } catch {
    // stdout failed: report on stderr instead.
  }
  const lines = asked.jsonLines ? onStderr : [...errorLines(report), ...onStderr];
  await writeLines(process.stderr, lines).catch(() => undefined);
}
