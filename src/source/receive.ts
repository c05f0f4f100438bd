/** The receiver's side of any source: delivers its states, and makes them visible when all of them are right. */
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

/** A module, and what became of its state. */
export interface ModuleResult extends NamedState {
  /** Where its state is; undefined if it was only verified. */
  readonly path?: string;
  /** Where what was there before is. */
  readonly movedTo?: string;
  /** How it compares with what is there. */
  readonly compared?: ComparedState;
}

export interface Received<Installed extends InstalledState> {
  /** What was copied of the SwingStore, with the content hash of the whole source. */
  readonly summary: ExportSummary;
  readonly store: Installed;
  /** In the order in which they were installed. */
  readonly modules: readonly ModuleResult[];
  /** SHA-256 of the manifest of a snapshot of which all was read. */
  readonly provedManifest?: string | undefined;
}

/**
 * Receives all of a source, and installs it when all of it is right: what is named by its content first, the store last.
 * @param others writers for what the source holds beside the SwingStore
 * @throws {VerificationError} for whatever is wrong; nothing is left then
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
      ...{ location, height, expected, signal },
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

/** What was copied, with the content hash of all that it was a part of. */
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
