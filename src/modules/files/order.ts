/** Checks that the paths of a tree come in order, each after its parent directory. */
import { VerificationError } from '../../errors.ts';
import { compareNames } from '../../snapshot/module-contract.ts';
import { parentOf, ROOT } from './layout.ts';

/** A directory whose content is complete. */
export interface LeftDirectory {
  readonly path: string;
  readonly mode: number;
}

/** Keeps only the directories on the way to the last path. */
export class TreeOrder {
  readonly #open: LeftDirectory[] = [];
  #last: string | undefined;

  /**
   * @param path the next path, a valid one
   * @param mode undefined for a file
   * @returns the directories that are complete before it, innermost first
   * @throws {VerificationError} `TREE_ORDER` if a path comes twice, out of order, or below something that is not a
   *   directory
   */
  next(path: string, mode: number | undefined): LeftDirectory[] {
    const left: LeftDirectory[] = [];
    if (this.#last === undefined) {
      if (path !== ROOT || mode === undefined) throw outOfOrder(path, ROOT);
    } else {
      const isAscending = this.#last === ROOT || compareNames(this.#last, path) < 0;
      if (path === ROOT || !isAscending) throw outOfOrder(path, `a path after ${this.#last}`);
      const parent = parentOf(path);
      while (this.#open.at(-1)?.path !== parent) {
        const directory = this.#open.pop();
        if (directory === undefined) throw outOfOrder(path, `the directory ${parent} before it`);
        left.push(directory);
      }
    }
    this.#last = path;
    if (mode !== undefined) this.#open.push({ path, mode });
    return left;
  }

  /** @returns the directories still open, innermost first. @throws {VerificationError} `TREE_ORDER` without a root */
  end(): LeftDirectory[] {
    if (this.#last === undefined) throw outOfOrder('nothing', ROOT);
    return this.#open.splice(0).reverse();
  }
}

function outOfOrder(path: string, expected: string): VerificationError {
  return new VerificationError('TREE_ORDER', 'the paths of a tree are out of order', {
    path,
    expected,
    found: JSON.stringify(path),
  });
}
