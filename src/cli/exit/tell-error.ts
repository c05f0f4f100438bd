/** Telling an error in the form that was asked for, and leaving its exit code. */

import { writeLines } from '../text/output.ts';
import { formatJson } from '../text/printable.ts';
import { debugLines, errorLines, reportError } from './exit.ts';

/** How an error is told. */
export interface Telling {
  /** What the user typed, for the hint to its help: `swingsnap export`. */
  readonly command: string;
  readonly json: boolean;
  /** What went before, for the JSON object; in text it was printed as it came. */
  readonly notes?: readonly string[];
  /** What was thrown, where the error stands for it. */
  readonly cause?: unknown;
}

/**
 * Sets `process.exitCode` and tells the error: on stderr, or as the one JSON object on stdout. Never rejects: where
 * stdout takes nothing any more stderr is told, and the exit code stands in any case.
 */
export async function tellError(
  error: unknown,
  { command, json, notes = [], cause = error }: Telling,
): Promise<void> {
  const report = reportError(error, command);
  process.exitCode = report.exitCode;
  const stack = debugLines(cause, process.env);
  try {
    if (json) {
      const object = { error: report, ...(notes.length > 0 ? { notes } : {}) };
      await writeLines(process.stdout, [formatJson(object)]);
      await writeLines(process.stderr, stack);
      return;
    }
  } catch {
    // stdout is full: stderr is told instead.
  }
  await writeLines(process.stderr, [...errorLines(report), ...stack]).catch(() => undefined);
}
