/** Reads and proves a whole stored snapshot, and keeps nothing of it. */
import { defaultScratchDir } from '../io/files/scratch.ts';
import { noProgress, type Progress } from '../io/progress.ts';
import { inlinePool } from '../io/threads/pool.ts';
import { moduleRegistry } from '../modules/registry.ts';
import { nowhere } from '../modules/swingset/destinations.ts';
import { damaged } from '../snapshot/layout.ts';
import type { ManifestFile } from '../snapshot/manifest.ts';
import type { OpenSnapshotOptions } from '../snapshot/read/opened-snapshot.ts';
import type { StoredSnapshot } from '../storage/contract.ts';
import { receive } from './receive.ts';
import { snapshotSource } from './snapshot.ts';

export interface VerifyStoredOptions extends OpenSnapshotOptions {
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * @param file the manifest that the snapshot must have
 * @throws {VerificationError} for anything wrong with it, or if its manifest has changed meanwhile
 */
export async function verifyStored(
  stored: StoredSnapshot,
  file: ManifestFile,
  options: VerifyStoredOptions,
): Promise<void> {
  const { codec, pool = inlinePool, scratchDir = defaultScratchDir(), signal } = options;
  const { progress = noProgress } = options;
  const source = await snapshotSource(stored, { codec, pool, scratchDir });
  try {
    const registry = moduleRegistry();
    const others = source.mayHold.map(({ name, kind }) =>
      registry.make(kind, { name, purpose: 'verify' }),
    );
    const receiving = { scratchDir, pool, progress, signal, wholly: true };
    const { provedManifest } = await receive(source, nowhere(), others, receiving);
    if (provedManifest === file.sha256) return;
    damaged('the snapshot was changed while it was verified', { path: stored.location });
  } finally {
    await source.close();
  }
}
