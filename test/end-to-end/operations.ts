/** The operations as these tests use them: without special options. */
import { noProgress } from '../../src/io/progress.ts';
import { exportStore } from '../../src/operation/export/export-store.ts';
import { restore as restoreStore } from '../../src/operation/restore/restore.ts';
import { retrieve as retrieveSnapshot } from '../../src/operation/retrieve/retrieve.ts';
import type { ArtifactMode, RestoreMode } from '../../src/swing-store-export/artifact-mode.ts';

export interface ExportAsked {
  readonly artifactMode: ArtifactMode;
  readonly exportDataMode?: 'all' | 'skip';
  readonly height?: number;
}

export async function exportTo(exportDir: string, stateDir: string, asked: ExportAsked) {
  const options = {
    exportDataMode: 'all',
    detached: false,
    progress: noProgress,
    ...asked,
  } as const;
  return exportStore({ ...options, stateDir, exportDir });
}

export async function restore(source: string, stateDir: string, artifactMode?: RestoreMode) {
  return restoreStore({
    source,
    stateDir,
    artifactMode,
    replace: false,
    requireProof: false,
    paranoid: false,
    progress: noProgress,
  });
}

/** @param source an export directory, which is kept, or a store */
export async function retrieve(
  snapshotDir: string,
  source: { readonly exportDir: string } | { stateDir: string; artifactMode: ArtifactMode },
) {
  return retrieveSnapshot({
    source: 'stateDir' in source ? source : { ...source, remove: 'never', wait: false },
    snapshotDir,
    create: true,
    replace: false,
    madeBy: 'a test',
    progress: noProgress,
  });
}
