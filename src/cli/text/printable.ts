/**
 * Makes text safe to show. Names, keys and messages come from untrusted databases, archives and records. They must not
 * control the operator's terminal or forge a line.
 */

import { cutAround } from '../../io/first-difference.ts';

/**
 * Characters without a glyph: control characters, characters that reorder or hide text (bidi marks, zero width), half
 * surrogate pairs, private and unassigned characters; and the line breaks that are not control characters.
 */
const UNPRINTABLE = /[\p{C}\u2028\u2029]/gu;
const LINE_BREAK = /[\r\n]/u;
const MAX_FACT_UNITS = 4096;

/** One line that is safe to print: line breaks become spaces, unprintable characters become `\u` escapes. */
export function formatLine(text: string): string {
  return (
    text
      .trimEnd()
      // Matches whole runs of blanks: a search for blanks around a line break is quadratic in the length of a run.
      .replace(/\s+/gu, (blanks) => (LINE_BREAK.test(blanks) ? ' ' : blanks))
      .replace(UNPRINTABLE, escapeUnits)
  );
}

/** A value as one line of JSON, with all unprintable characters escaped. */
export function formatJson(value: unknown): string {
  // JSON has such characters only inside strings.
  return JSON.stringify(value).replace(UNPRINTABLE, escapeUnits);
}

/** Cuts two facts as {@link cutFact}, around their first difference. */
export function cutFacts(expected: string, found: string): readonly [string, string] {
  return cutAround(expected, found, MAX_FACT_UNITS);
}

/** Cuts a fact of an error to {@link MAX_FACT_UNITS}. Untrusted keys and fields may be megabytes long. */
export function cutFact(fact: string): string {
  return fact.length > MAX_FACT_UNITS ? `${fact.slice(0, MAX_FACT_UNITS)}…` : fact;
}

/** An escape for each UTF-16 unit, as in JSON. */
function escapeUnits(char: string): string {
  return Array.from(
    { length: char.length },
    (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');
}
