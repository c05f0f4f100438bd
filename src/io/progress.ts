/**
 * Progress reports of the library. It never prints: the CLI renders these reports.
 */

/** Receives progress reports. A phase ends when the next one starts. Names of phases differ within an operation. */
export interface Progress {
  /**
   * Tells how large phases are, in bytes, before they start or while they are under way. A phase told of before is
   * corrected, others are added behind. So a percentage can be one of the whole operation.
   */
  plan?(phases: readonly PlannedPhase[]): void;
  /**
   * Starts a new phase.
   * @param name a few lower-case words: `export data`, `artifacts`
   * @param total amount of work, if known
   */
  phase(name: string, total?: ProgressTotal): void;
  /** Reports that `bytes` and `items` more are done in this phase. */
  advance(bytes: number, items?: number): void;
  /**
   * Reports work that is done beside the phases, such as the state of another module.
   * @param bytes done so far
   * @param total bytes in all, an estimate
   */
  beside?(name: string, bytes: number, total: number): void;
  /** One line that the operator should read even after success. */
  readonly note: (message: string) => void;
}

/** A phase and its size in bytes, an estimate. */
export interface PlannedPhase {
  readonly name: string;
  readonly bytes: number;
}

/** The total work of a phase; may be an estimate. */
export interface ProgressTotal {
  readonly bytes?: number | undefined;
  readonly items?: number | undefined;
  /** The kind of items, in the plural: `artifacts`. */
  readonly unit?: string | undefined;
  /** Whether another operation does this work, and this one only waits for it. It is no part of the whole then. */
  readonly awaited?: boolean | undefined;
}

/** Ignores all reports. */
export const noProgress: Progress = {
  phase: () => undefined,
  advance: () => undefined,
  note: () => undefined,
};

/** The progress of a second pass over the same content: its phases are named `<name> <pass>`. */
export function ofPass(pass: string, progress: Progress): Progress {
  const named = (name: string): string => `${name} ${pass}`;
  return {
    plan: (phases) =>
      progress.plan?.(phases.map(({ name, bytes }) => ({ name: named(name), bytes }))),
    phase: (name, total) => {
      progress.phase(named(name), total);
    },
    advance: (bytes, items) => {
      progress.advance(bytes, items);
    },
    note: progress.note,
  };
}

/** Progress that counts the bytes of all its phases as those of the current phase of `progress`. */
export function withinPhase(progress: Progress): Progress {
  return {
    ...noProgress,
    advance: (bytes) => {
      progress.advance(bytes);
    },
    note: progress.note,
  };
}
