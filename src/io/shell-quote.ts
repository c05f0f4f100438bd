/** A word as a POSIX shell must be given it, for commands that a user will copy. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll(`'`, `'\\''`)}'`;
}
