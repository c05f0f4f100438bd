/**
 * Limits the output of a decompressor relative to its input. A few kilobytes can expand a thousand times (deflate) or
 * thirty thousand times (zstd), and each output byte takes time to hash.
 */

/** Bytes. */
export interface ExpansionBounds {
  /** Output allowed regardless of input: small inputs may be as repetitive as they like. */
  readonly freeBytes: number;
  /** Output allowed in addition, per input byte. */
  readonly ratio: number;
}

export class ExpansionLimit {
  readonly #bounds: ExpansionBounds;
  readonly #refuse: (facts: { expected: string; found: string }) => never;
  #taken = 0;
  #given = 0;

  /** @param refuse throws the error for too much output */
  constructor(
    bounds: ExpansionBounds,
    refuse: (facts: { expected: string; found: string }) => never,
  ) {
    this.#bounds = bounds;
    this.#refuse = refuse;
  }

  /** Input bytes so far. */
  set taken(bytes: number) {
    this.#taken = bytes;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Counts more output bytes. Throws as `refuse` if there are too many. */
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
