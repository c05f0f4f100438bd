/**
 * Transcript items cost more than their bytes: each is hashed twice, which takes as long as a kilobyte does. A kernel
 * writes a few hundred bytes for the shortest delivery, but a megabyte of line breaks compresses to almost nothing.
 */
import { VerificationError } from '../../errors.ts';
import type { ExpectedContent } from './expected-content.ts';

/** Number of items in all that may be shorter than {@link SHORTEST_BYTES}. */
const FREE_ITEMS = 1_000_000;
const SHORTEST_BYTES = 64;

export class ItemBudget {
  #left = FREE_ITEMS;

  /** Charges a whole artifact in memory, before it is checked. Throws as {@link spend}. */
  spendOn(name: string, expected: ExpectedContent, size: number): void {
    // Each item is one line, so there are at most `size`.
    if (expected.kind === 'transcript') this.spend(name, Math.min(expected.items, size), size);
  }

  /**
   * Charges a span, or a part of one, that is to be checked.
   * @param name of the artifact
   * @param size of the span in bytes
   * @throws {VerificationError} `SHORT_ITEMS` if there are more short items than any kernel writes
   */
  spend(name: string, items: number, size: number): void {
    this.#left -= Math.max(0, items - size / SHORTEST_BYTES);
    if (this.#left >= 0) return;
    throw new VerificationError('SHORT_ITEMS', 'there are too many short transcript items', {
      path: name,
      expected: `at most ${FREE_ITEMS} of fewer than ${SHORTEST_BYTES} bytes`,
      found: `${items} items in ${size} bytes`,
      hint: 'no SwingStore exports such data: get the export from another node',
    });
  }
}
