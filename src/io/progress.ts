/**
 * Progress reports of the library. It never prints: the CLI renders these reports.
 */

/** Receives progress reports. A phase ends when the next one starts. */
export interface Progress {
  /**
   * Starts a new phase.
   * @param name a few lower-case words: `export data`, `artifacts`
   * @param total amount of work, if known
   */
  phase(name: string, total?: ProgressTotal): void;
  /** Reports that `bytes` and `items` more are done in this phase. */
  advance(bytes: number, items?: number): void;
  /** One line that the operator should read even after success. */
  readonly note: (message: string) => void;
}

/** The total work of a phase; may be an estimate. */
export interface ProgressTotal {
  readonly bytes?: number | undefined;
  readonly items?: number | undefined;
  /** The kind of items, in the plural: `artifacts`. */
  readonly unit?: string | undefined;
}

/** Ignores all reports. */
export const noProgress: Progress = {
  phase: () => undefined,
  advance: () => undefined,
  note: () => undefined,
};
