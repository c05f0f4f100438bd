/** A small input that may cost much. */
export interface Input {
  readonly name: string;
  /** Writes it into a directory, and gives back the words that have swingsnap read it. */
  readonly make: (dir: string) => Promise<readonly string[]>;
}
