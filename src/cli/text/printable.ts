/**
 * Text that is safe to show. Names, keys and messages come from databases, archives and records of others, which must
 * not steer the operator's terminal, nor make a line look like another one.
 */

/**
 * What no glyph stands for: control characters, those that turn or hide text (bidi marks, zero width), half surrogate
 * pairs, private and unassigned characters; and the line breaks that are no control characters.
 */
const UNPRINTABLE = /[\p{C}\u2028\u2029]/gu;
const LINE_BREAK = /[\r\n]/u;
const MAX_FACT_UNITS = 4096;

/** One line that is safe to print: line breaks become spaces, what is unprintable its `\u` escape. */
export function formatLine(text: string): string {
  return (
    text
      .trimEnd()
      // One run of blanks after the other: to look for blanks around a line break takes a run's length squared.
      .replace(/\s+/gu, (blanks) => (LINE_BREAK.test(blanks) ? ' ' : blanks))
      .replace(UNPRINTABLE, escapeUnits)
  );
}

/** A value as one line of JSON, of which a terminal shows what it says: nothing unprintable is in it. */
export function formatJson(value: unknown): string {
  // Outside of its strings JSON has no such character.
  return JSON.stringify(value).replace(UNPRINTABLE, escapeUnits);
}

/** A fact of an error as far as it helps: some kilobytes at most. Keys and fields of others may be megabytes long. */
export function cutFact(fact: string): string {
  return fact.length > MAX_FACT_UNITS ? `${fact.slice(0, MAX_FACT_UNITS)}…` : fact;
}

/** As JSON spells it: an escape for each unit of UTF-16. */
function escapeUnits(char: string): string {
  return Array.from(
    { length: char.length },
    (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');
}
