/** Quotes a word for a POSIX shell, for commands that a user will copy. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll(`'`, `'\\''`)}'`;
}
