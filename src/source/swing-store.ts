/** A source that holds a SwingStore and nothing else: an export directory, or a live store. */
import { UsageError } from '../errors.ts';
import { takeExport, type StoreDestination } from '../modules/swingset/destinations.ts';
import { SWINGSET } from '../modules/swingset/layout.ts';
import { swingsetModule } from '../modules/swingset/module.ts';
import type { InstalledState } from '../snapshot/module-contract.ts';
import type { SwingStoreExport } from '../swing-store-export/swing-store-export.ts';
import type { ArtifactSize, Delivered, DeliverOptions, Source, SourceForm } from './source.ts';

export const SWINGSET_STATE = { name: SWINGSET, kind: SWINGSET, installs: 'last' } as const;

export interface SwingStoreSourceOptions {
  readonly form: SourceForm;
  readonly path: string;
  readonly swingset: SwingStoreExport;
  readonly artifactSizes?: () => AsyncIterable<ArtifactSize>;
}

export function swingStoreSource({
  form,
  path,
  swingset,
  artifactSizes = noSizes,
}: SwingStoreSourceOptions): Source {
  return {
    form,
    path,
    height: swingset.height,
    swingset,
    mayHold: [],
    proof: undefined,
    codes: undefined,
    contentHash: undefined,
    others: async () => [],
    artifactSizes,
    readers: async () => [swingsetModule({ source: swingset })],
    left: () => undefined,
    deliver: async (destination, _others, options) => deliverStore(swingset, destination, options),
    hashChunks: async () => refuseNoChunks(form, path),
    close: async () => swingset.close(),
  };
}

/** Sizes of a form that lists none. */
export async function* noSizes(): AsyncGenerator<ArtifactSize> {
  // Large artifacts are refused when they are read.
}

async function deliverStore<Installed extends InstalledState>(
  source: SwingStoreExport,
  destination: StoreDestination<Installed>,
  options: DeliverOptions,
): Promise<Delivered<Installed>> {
  const state = await takeExport(source, destination, options);
  return {
    swingset: { module: SWINGSET_STATE, state },
    others: [],
    abort: async () => state.discard(),
  };
}

/** @throws {UsageError} `NO_CHUNKS`, always */
export function refuseNoChunks(form: SourceForm, path: string): never {
  const what = form === 'export directory' ? 'an export directory' : `a ${form}`;
  throw new UsageError('NO_CHUNKS', `${what} has no chunk hashes to check`, {
    path,
    hint: 'leave out --quick',
  });
}
