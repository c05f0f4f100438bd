/** The receiving side of any source: has its states delivered, and makes them visible once all are verified. */
import type { StoreDestination } from '../modules/swingset/destinations.ts';
import { installTogether, inInstallOrder } from '../snapshot/install-together.ts';
import type { ComparedState, InstalledState, StateModule } from '../snapshot/module-contract.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';
import type { DeliverOptions, NamedState, Source } from './source.ts';

export interface ReceiveOptions extends Omit<DeliverOptions, 'digests' | 'wholly'> {
  /** The content hash that the source must have, its modules included. */
  readonly expect?: string | undefined;
  readonly wholly?: boolean | undefined;
}

/** A module, and the outcome for its state. */
export interface ModuleResult extends NamedState {
  /** Where its state is; undefined if it was only verified. */
  readonly path?: string;
  /** Where the previous state was moved. */
  readonly movedTo?: string;
  /** How it compares with the state in place. */
  readonly compared?: ComparedState;
}

export interface Received<Installed extends InstalledState> {
  /** Summary of the copied SwingStore, with the content hash of the whole source. */
  readonly summary: ExportSummary;
  readonly store: Installed;
  /** In the order of their installation. */
  readonly modules: readonly ModuleResult[];
  /** SHA-256 of a snapshot's manifest, if the whole snapshot was read. */
  readonly provedManifest?: string | undefined;
}

/**
 * Receives a whole source, and installs it once all of it is verified: content-addressed states first, the store last.
 * @param others writers for what the source holds beside the SwingStore
 * @throws {VerificationError} for anything wrong; nothing is left behind
 */
export async function receive<Installed extends InstalledState>(
  source: Source,
  destination: StoreDestination<Installed>,
  others: readonly StateModule[],
  { expect, wholly = false, ...options }: ReceiveOptions,
): Promise<Received<Installed>> {
  const { path: location, height } = source;
  const deliver = { ...options, wholly, digests: expect !== undefined };
  const delivered = await source.deliver(destination, others, deliver);
  try {
    const ready = [delivered.swingset, ...delivered.others] as const;
    const expected = [source.contentHash, expect];
    const { signal } = options;
    const { contentHash, states } = await installTogether(ready, {
      location,
      height,
      expected,
      signal,
    });
    const [store] = states;
    const became = ready.flatMap(({ module }, at) => {
      const installed = states[at];
      return installed === undefined ? [] : [{ module, installed }];
    });
    return {
      summary: withContentHash(delivered.swingset.state.summary, contentHash),
      store,
      modules: inInstallOrder(became).map(({ module, installed }) => resultOf(module, installed)),
      provedManifest: delivered.provedManifest,
    };
  } catch (error) {
    await delivered.abort(error);
    throw error;
  }
}

/** The summary, with the content hash of the whole source. */
function withContentHash(summary: ExportSummary, contentHash: string | undefined): ExportSummary {
  const { hashes } = summary;
  if (contentHash === undefined || hashes === undefined) return summary;
  return { ...summary, hashes: { ...hashes, contentHash } };
}

function resultOf(
  { name, kind }: NamedState,
  { path, movedTo, compared }: InstalledState,
): ModuleResult {
  return {
    name,
    kind,
    ...(path !== undefined && { path }),
    ...(movedTo !== undefined && { movedTo }),
    ...(compared !== undefined && { compared }),
  };
}
