/** A small input whose reading may be expensive. */
export interface Input {
  readonly name: string;
  /** Writes it into a directory, and returns the arguments with which swingsnap reads it. */
  readonly make: (dir: string) => Promise<readonly string[]>;
}
