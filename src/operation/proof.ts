/** What proves a source: a hash that the caller trusts. */
import { UsageError } from '../errors.ts';

/** What proves a state: the AppHash or the content hash that the caller named, or nothing. */
export type Proof = 'app hash' | 'expected hash' | 'nothing';

export interface ProofOptions {
  /** Refuses a source that nothing proves. */
  readonly requireProof?: boolean | undefined;
  /** The content hash that the source must have. */
  readonly expect?: string | undefined;
  /** The AppHash that a state-sync snapshot must have. */
  readonly appHash?: string | undefined;
}

/**
 * Reading fails unless a named hash matches, so it is enough that one is named.
 * @param takes which hashes the operation takes
 * @throws {UsageError} `NO_PROOF`
 */
export function refuseUnproved(
  { requireProof = false, expect, appHash }: ProofOptions,
  takes: 'any hash' | 'the AppHash' = 'any hash',
): void {
  if (!requireProof || expect !== undefined || appHash !== undefined) return;
  throw new UsageError('NO_PROOF', 'nothing would prove the source', {
    hint:
      takes === 'any hash'
        ? 'pass the content hash that retrieve printed (from a source that you trust) with --expect, or the AppHash of a state-sync snapshot with --app-hash'
        : 'pass the AppHash of a state-sync snapshot with --app-hash; prove anything else with: swingsnap verify SOURCE --require-proof --expect HASH',
  });
}
