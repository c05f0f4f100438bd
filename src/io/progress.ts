/**
 * How the library says how far it is. It never prints: the CLI renders what it hears here.
 */

/** Sink of progress reports. A phase ends when the next one starts. */
export interface Progress {
  /**
   * A new phase starts.
   * @param name a few lower-case words: `export data`, `artifacts`
   * @param total how much there is to do, where that is known
   */
  phase(name: string, total?: ProgressTotal): void;
  /** `bytes` and `items` more are done in this phase. */
  advance(bytes: number, items?: number): void;
  /** Something that the operator should read even after success: one line. */
  readonly note: (message: string) => void;
}

/** What a phase is measured against; an estimate will do. */
export interface ProgressTotal {
  readonly bytes?: number | undefined;
  readonly items?: number | undefined;
  /** What the items are, in the plural: `artifacts`. */
  readonly unit?: string | undefined;
}

/** Hears everything and says nothing. */
export const noProgress: Progress = {
  phase: () => undefined,
  advance: () => undefined,
  note: () => undefined,
};
