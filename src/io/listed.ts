const MOST = 10;

/** Names for a message, the first ten of them: `a, b, c`, or `a, b, … and 7 more`. */
export function listed(names: readonly (string | number)[]): string {
  const shown = names.slice(0, MOST).join(', ');
  return names.length > MOST ? `${shown} and ${names.length - MOST} more` : shown;
}
