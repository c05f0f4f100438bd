/** What becomes of an export that is received. */
import {
  prepareSwingStore,
  type BuildSwingStoreOptions,
  type BuiltStore,
} from '../../formats/swing-store/build/build.ts';
import type { InstalledStore } from '../../formats/swing-store/build/install.ts';
import type { InstalledState } from '../../snapshot/module-contract.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { copyVerified } from '../../swing-store-export/copy-export.ts';
import { nullSink } from '../../swing-store-export/null-sink.ts';
import type { ExportSink, ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import type { ReceivedExport, ReceiveExport } from './writable.ts';

export interface ReceiveOptions {
  /** Which artifacts to copy and require; by default as `copyVerified`. */
  readonly artifactMode?: ArtifactMode | undefined;
  /** Told what was copied. */
  readonly onCopied?: ((summary: ExportSummary) => void) | undefined;
}

/** Only verifies it. */
export function verifyExport({ artifactMode, onCopied }: ReceiveOptions = {}): ReceiveExport {
  return async (source, options) => {
    const { summary } = await copyVerified(source, async () => nullSink(), {
      ...options,
      artifactMode,
    });
    onCopied?.(summary);
    return nothingToInstall();
  };
}

/** A store in `stateDir`. It cannot be taken back once it is installed, so it is installed last. */
export function buildStoreFrom(
  stateDir: string,
  { artifactMode, onCopied, onInstalled, ...build }: BuildOptions,
): ReceiveExport {
  return async (source, options) => {
    let sink: ExportSink<BuiltStore> | undefined;
    const makeSink = async (): Promise<ExportSink<BuiltStore>> => {
      sink = await prepareSwingStore(stateDir, build);
      return sink;
    };
    const { result, summary } = await copyVerified(source, makeSink, { ...options, artifactMode });
    onCopied?.(summary);
    return {
      install: async () => {
        const store = await result.install();
        onInstalled?.(store);
        return installedState(store);
      },
      discard: async () => sink?.abort(),
    };
  };
}

export interface BuildOptions extends BuildSwingStoreOptions, ReceiveOptions {
  readonly onInstalled?: ((store: InstalledStore) => void) | undefined;
}

function installedState({ databasePath, movedTo }: InstalledStore): InstalledState {
  return { path: databasePath, movedTo, undo: async () => undefined };
}

/** What a receiver gives back that keeps nothing. */
export function nothingToInstall(path?: string): ReceivedExport {
  return {
    install: async () => ({ path, undo: async () => undefined }),
    discard: async () => undefined,
  };
}
