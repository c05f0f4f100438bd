/**
 * The scopes of a compartment, by their prefixes. To try one after the other for each module takes the number of modules
 * times that of scopes, both of which are the author's of an archive.
 */

/** A scope that a specifier lies in. */
export interface FoundScope {
  readonly prefix: string;
  /** Name of the compartment that it leads to. */
  readonly compartment: string;
  /** The specifier there: `dep/sub` within the prefix `dep` is `./sub`, and `dep` itself is `.`. */
  readonly inner: string;
}

export class ScopeIndex {
  readonly #scopes = new Map<string, { readonly place: number; readonly compartment: string }>();
  /** Of prefixes, ascending. There are few: all together they are no longer than the archive. */
  readonly #lengths: readonly number[];

  /** @param scopes prefix to the name of a compartment, in the order of the file */
  constructor(scopes: ReadonlyMap<string, string>) {
    for (const [prefix, compartment] of scopes) {
      this.#scopes.set(prefix, { place: this.#scopes.size, compartment });
    }
    const lengths = new Set([...scopes.keys()].map(({ length }) => length));
    this.#lengths = [...lengths].sort((a, b) => a - b);
  }

  /** The first scope of the file that a specifier lies in. */
  firstWith(specifier: string): FoundScope | undefined {
    let first: (FoundScope & { readonly place: number }) | undefined;
    for (const length of this.#lengths) {
      if (length > specifier.length) break;
      if (length < specifier.length && specifier[length] !== '/') continue;
      const prefix = specifier.slice(0, length);
      const scope = this.#scopes.get(prefix);
      if (scope === undefined || (first !== undefined && first.place < scope.place)) continue;
      first = { ...scope, prefix, inner: `.${specifier.slice(length)}` };
    }
    return first;
  }
}
