/**
 * The scopes of a compartment, indexed by prefix. A linear search per module would take modules times scopes, and the
 * author of an archive controls both numbers.
 */

/** A scope that contains a specifier. */
export interface FoundScope {
  readonly prefix: string;
  /** Name of the compartment that it leads to. */
  readonly compartment: string;
  /** The specifier in that compartment: with the prefix `dep`, `dep/sub` is `./sub`, and `dep` itself is `.`. */
  readonly inner: string;
}

export class ScopeIndex {
  readonly #scopes = new Map<string, { readonly place: number; readonly compartment: string }>();
  /** Distinct prefix lengths, ascending. There are few: all prefixes together are no longer than the archive. */
  readonly #lengths: readonly number[];

  /** @param scopes compartment name by prefix, in file order */
  constructor(scopes: ReadonlyMap<string, string>) {
    for (const [prefix, compartment] of scopes) {
      this.#scopes.set(prefix, { place: this.#scopes.size, compartment });
    }
    const lengths = new Set([...scopes.keys()].map(({ length }) => length));
    this.#lengths = [...lengths].sort((a, b) => a - b);
  }

  /** The first scope, in file order, that contains a specifier. */
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
