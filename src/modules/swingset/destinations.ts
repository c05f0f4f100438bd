/** Destinations of a received SwingStore: a new store, or nowhere. */
import {
  prepareSwingStore,
  type BuildSwingStoreOptions,
  type BuiltStore,
} from '../../formats/swing-store/build/build.ts';
import type { InstalledStore } from '../../formats/swing-store/build/install.ts';
import type { InstalledState, StateDescription } from '../../snapshot/module-contract.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { copyVerified, type VerifiedCopyOptions } from '../../swing-store-export/copy-verified.ts';
import { nullSink } from '../../swing-store-export/null-sink.ts';
import type {
  ExportSink,
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { describeExport } from './description.ts';

/** Copies an export. Passes the options to `copyVerified`. */
export type StoreDestination<Installed extends InstalledState = InstalledState> = (
  source: SwingStoreExport,
  options: VerifiedCopyOptions,
) => Promise<TakenStore<Installed>>;

/** A complete copy that is not visible yet. */
export interface TakenStore<Installed extends InstalledState = InstalledState> {
  readonly summary: ExportSummary;
  install(): Promise<Installed>;
  /** Removes the copy. */
  discard(): Promise<void>;
}

/** {@link TakenStore} as a state; without a description if artifacts beyond the artifact mode were not read. */
export interface DescribedStore<
  Installed extends InstalledState = InstalledState,
> extends TakenStore<Installed> {
  readonly description?: StateDescription;
}

/** Copies an export to a destination, and describes it. */
export async function takeExport<Installed extends InstalledState>(
  source: SwingStoreExport,
  destination: StoreDestination<Installed>,
  options: VerifiedCopyOptions,
): Promise<DescribedStore<Installed>> {
  const passed: { description?: StateDescription } = {};
  const taken = await destination(source, {
    ...options,
    inspect: (index, summary) => {
      if (summary.hashes?.contentHash !== undefined) {
        passed.description = describeExport(summary, index);
      }
    },
  });
  return { ...taken, ...passed };
}

export interface DestinationOptions {
  /** Which artifacts to copy and require; by default as `copyVerified`. */
  readonly artifactMode?: ArtifactMode | undefined;
}

/** A destination that only verifies the export. */
export function nowhere({ artifactMode }: DestinationOptions = {}): StoreDestination {
  return async (source, options) => {
    const copy = { ...options, artifactMode };
    const { summary } = await copyVerified(source, async () => nullSink(options.pool), copy);
    return notInstalled(summary, { path: undefined });
  };
}

/** The result of a destination that keeps nothing: what it found. */
export function notInstalled<Found extends Pick<InstalledState, 'path'>>(
  summary: ExportSummary,
  found: Found,
): TakenStore<Found & InstalledState> {
  return {
    summary,
    install: async () => ({ ...found, undo: async () => undefined }),
    discard: async () => undefined,
  };
}

/** A new store in `stateDir`. Its installation cannot be undone, so it is installed last. */
export function newStore(
  stateDir: string,
  { artifactMode, ...build }: BuildSwingStoreOptions & DestinationOptions,
): StoreDestination<InstalledStore & InstalledState> {
  return async (source, options) => {
    let sink: ExportSink<BuiltStore> | undefined;
    const makeSink = async (): Promise<ExportSink<BuiltStore>> => {
      sink = await prepareSwingStore(stateDir, build);
      return sink;
    };
    const { result, summary } = await copyVerified(source, makeSink, { ...options, artifactMode });
    return {
      summary,
      install: async () => {
        const store = await result.install();
        return { ...store, path: store.databasePath, undo: async () => undefined };
      },
      discard: async () => sink?.abort(),
    };
  };
}
