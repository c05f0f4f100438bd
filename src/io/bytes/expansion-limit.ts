/**
 * How much may come out of compressed bytes, by how many went in. A few kilobytes can be a thousand times as many
 * (deflate), or thirty thousand times (zstd), and each of those takes time to hash.
 */

/** Bytes. */
export interface ExpansionBounds {
  /** Come out whatever went in: small inputs may be as repetitive as they like. */
  readonly freeBytes: number;
  /** Come out for each byte that went in, beside these. */
  readonly ratio: number;
}

export class ExpansionLimit {
  readonly #bounds: ExpansionBounds;
  readonly #refuse: (facts: { expected: string; found: string }) => never;
  #taken = 0;
  #given = 0;

  /** @param refuse throws what is to be thrown when too much has come out */
  constructor(
    bounds: ExpansionBounds,
    refuse: (facts: { expected: string; found: string }) => never,
  ) {
    this.#bounds = bounds;
    this.#refuse = refuse;
  }

  /** Says how many bytes have gone in so far. */
  set taken(bytes: number) {
    this.#taken = bytes;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Notes that so many more bytes come out. Throws as `refuse`, where these are too many. */
  give(bytes: number): void {
    this.#given += bytes;
    const { freeBytes, ratio } = this.#bounds;
    const most = freeBytes + ratio * this.#taken;
    if (this.#given <= most) return;
    this.#refuse({
      expected: `at most ${most} bytes of ${this.#taken} compressed ones`,
      found: `${this.#given} bytes`,
    });
  }
}
