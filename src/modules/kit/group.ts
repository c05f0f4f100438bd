/**
 * Chunks of several small artifacts, and parts of large ones. The name of an artifact decides whether a chunk ends after
 * it. So a change in one place moves no cut elsewhere, and unchanged chunks keep their bytes and therefore their names.
 */
import { SwingSnapError } from '../../errors.ts';
import type { StateEntry } from '../../snapshot/module-contract.ts';

const MIB = 1024 * 1024;

/** Artifacts of at least this size have chunks of their own; a chunk of smaller ones aims at 2 MiB. */
export const GROUP_MIN_BYTES = MIB;
const GROUP_MEAN_REST_BYTES = MIB;
const GROUP_MAX_BYTES = 4 * MIB;
const GROUP_MAX_ENTRIES = 16_384;

/** Most parts of an artifact or segment: 64 GiB in the smallest parts. A reader keeps a list of them. */
export const MAX_PARTS = 16_384;

/** A part's number, as in entry names. */
export function partNumber(part: number): string {
  return String(part).padStart(6, '0');
}

/** @throws {SwingSnapError} `TOO_LARGE` if the part number `part` is beyond the limit */
export function refuseTooManyParts(part: number, what: string): void {
  if (part < MAX_PARTS) return;
  throw new SwingSnapError('TOO_LARGE', `${what} is too large for chunks of this size`, {
    expected: `at most ${MAX_PARTS} parts`,
    hint: 'use a larger --chunk-size',
  });
}

/** Gathers the entries of small artifacts. */
export class Group {
  #entries: StateEntry[] = [];
  #bytes = 0;

  /**
   * @param stableName a name that the entry keeps while its artifact grows
   * @returns the chunks that this entry completes
   */
  *add(entry: StateEntry, stableName: string): Generator<readonly StateEntry[]> {
    if (this.#bytes + entry.size > GROUP_MAX_BYTES) yield* this.end();
    this.#entries.push(entry);
    this.#bytes += entry.size;
    const ends =
      this.#bytes >= GROUP_MIN_BYTES &&
      cutsAfter(Buffer.from(stableName), entry.size, GROUP_MEAN_REST_BYTES);
    if (ends || this.#entries.length >= GROUP_MAX_ENTRIES) yield* this.end();
  }

  /** The chunk of the entries gathered so far, if any. */
  *end(): Generator<readonly StateEntry[]> {
    const entries = this.#entries;
    this.#entries = [];
    this.#bytes = 0;
    if (entries.length > 0) yield entries;
  }
}

/**
 * Whether an item named `name` of `size` bytes is the last before a cut. Over many items, the bytes between two cuts are
 * `meanBytes` on average, whatever the sizes of the items.
 */
export function cutsAfter(name: Uint8Array, size: number, meanBytes: number): boolean {
  // FNV-1a, then the final steps of MurmurHash3, which spread what FNV leaves in the low bits.
  let hash = 0x811c9dc5;
  for (const byte of name) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash = (hash ^ (hash >>> 16)) >>> 0;
  return hash < (size / meanBytes) * 2 ** 32;
}
