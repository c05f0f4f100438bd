/** Makes the states of one height visible together: all or none. */
import { VerificationError } from '../errors.ts';
import { contentHashOf } from './content-hash.ts';
import type {
  InstalledState,
  StateDescription,
  StateModule,
  WrittenState,
} from './module-contract.ts';

/** A complete state that is not visible yet. */
export interface ReadyState<Installed extends InstalledState = InstalledState> {
  readonly module: Pick<StateModule, 'name' | 'kind' | 'installs'>;
  /** Without a description, the content hash of the whole is unknown: part of the state was not read. */
  readonly state: { install(): Promise<Installed> } & Partial<Pick<WrittenState, 'description'>>;
}

type InstalledBy<Ready> = Ready extends ReadyState<infer Installed> ? Installed : never;

export interface InstallOptions {
  /** Names the source in errors. */
  readonly location: string;
  readonly height: number;
  /** Content hashes that the whole must have; undefined ones are ignored. */
  readonly expected: readonly (string | undefined)[];
  readonly signal?: AbortSignal | undefined;
}

export interface Installed<Ready extends readonly ReadyState[]> {
  /** Undefined if unknown. */
  readonly contentHash: string | undefined;
  /** In the order of the given states. */
  readonly states: { readonly [At in keyof Ready]: InstalledBy<Ready[At]> };
}

/**
 * Installs states if they have the expected content hash. If one of them cannot be installed, those installed before
 * it are undone.
 * @throws {VerificationError} `HASH_MISMATCH`, before anything is installed
 */
export async function installTogether<Ready extends readonly ReadyState[]>(
  ready: readonly [...Ready],
  { location, height, expected, signal }: InstallOptions,
): Promise<Installed<Ready>> {
  const contentHash = hashOf(height, ready);
  const other = expected.find((hash) => hash !== undefined && hash !== contentHash);
  if (other !== undefined) {
    throw new VerificationError('HASH_MISMATCH', 'the source has the wrong contentHash', {
      path: location,
      expected: other,
      found: contentHash,
      hint: 'it holds something else than expected: check the hash, or name the source that has it',
    });
  }
  signal?.throwIfAborted();
  const installed = new Map<ReadyState, InstalledState>();
  try {
    for (const one of inInstallOrder(ready)) installed.set(one, await one.state.install());
  } catch (error) {
    for (const state of [...installed.values()].reverse()) await state.undo();
    throw error;
  }
  const states = ready.map((one) => installed.get(one)) as Installed<Ready>['states'];
  return { contentHash, states };
}

function hashOf(height: number, ready: readonly ReadyState[]): string | undefined {
  const descriptions: Record<string, StateDescription> = {};
  for (const { module, state } of ready) {
    if (state.description === undefined) return undefined;
    descriptions[module.name] = state.description;
  }
  return contentHashOf(height, descriptions);
}

const RANKS = { first: 0, between: 1, last: 2 } as const;

/** States named by their content come first; the state that a node takes for complete once it exists comes last. */
export function inInstallOrder<Ready extends Pick<ReadyState, 'module'>>(
  ready: readonly Ready[],
): Ready[] {
  return [...ready].sort(
    ({ module: a }, { module: b }) =>
      RANKS[a.installs] - RANKS[b.installs] || (a.name < b.name ? -1 : 1),
  );
}
