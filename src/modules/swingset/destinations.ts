/** Where a SwingStore goes that is received: into a new store, or nowhere. */
import {
  prepareSwingStore,
  type BuildSwingStoreOptions,
  type BuiltStore,
} from '../../formats/swing-store/build/build.ts';
import type { InstalledStore } from '../../formats/swing-store/build/install.ts';
import type { InstalledState, StateDescription } from '../../snapshot/module-contract.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { copyVerified, type VerifiedCopyOptions } from '../../swing-store-export/copy-export.ts';
import { nullSink } from '../../swing-store-export/null-sink.ts';
import type {
  ExportSink,
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { describeExport } from './description.ts';

/** Copies an export, with these options for `copyVerified`. */
export type StoreDestination<Installed extends InstalledState = InstalledState> = (
  source: SwingStoreExport,
  options: VerifiedCopyOptions,
) => Promise<TakenStore<Installed>>;

/** A copy that is complete and not visible yet. */
export interface TakenStore<Installed extends InstalledState = InstalledState> {
  readonly summary: ExportSummary;
  install(): Promise<Installed>;
  /** Leaves nothing. */
  discard(): Promise<void>;
}

/** {@link TakenStore} as a state; without a description if artifacts beyond the artifact mode were left unread. */
export interface DescribedStore<
  Installed extends InstalledState = InstalledState,
> extends TakenStore<Installed> {
  readonly description?: StateDescription;
}

/** Hands an export to a destination, and describes what passed. */
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

/** Only verifies it. */
export function nowhere({ artifactMode }: DestinationOptions = {}): StoreDestination {
  return async (source, options) => {
    const copy = { ...options, artifactMode };
    const { summary } = await copyVerified(source, async () => nullSink(), copy);
    return notInstalled(summary, { path: undefined });
  };
}

/** What a destination gives back that keeps nothing, with what it found. */
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

/** A store in `stateDir`. It cannot be taken back once it is installed, so it is installed last. */
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
