/** Opens the source that was found at a path. */
import { UsageError } from '../errors.ts';
import { openExportDirectory } from '../formats/export-directory/open.ts';
import type { OpenStateSyncOptions } from '../formats/state-sync/open.ts';
import type { WorkerPool } from '../io/threads/pool.ts';
import type { ZstdCodec } from '../io/zstd/codec.ts';
import { exportDirectorySource } from './export-directory.ts';
import type { FoundSource } from './find.ts';
import { snapshotSource } from './snapshot.ts';
import type { Source } from './source.ts';
import { stateSyncSource } from './state-sync.ts';

/** What a state-sync snapshot is checked against. */
export type Trust = Pick<OpenStateSyncOptions, 'appHash' | 'memStores'>;

export interface OpenSourceOptions extends Trust {
  readonly codec: ZstdCodec;
  readonly pool?: WorkerPool | undefined;
  readonly scratchDir: string;
  readonly note: (message: string) => void;
  /** Whether a state-sync snapshot without a SwingStore is refused. */
  readonly needsExportData?: boolean | undefined;
  /** Aborts the reading of a state-sync snapshot, whose stores are read before anything is delivered. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens what `findSource` found. Throws what opening that form throws.
 * @throws {UsageError} `NO_APP_HASH` if one is given for a form that has none
 */
export async function openSource(found: FoundSource, options: OpenSourceOptions): Promise<Source> {
  const { pool, appHash, memStores } = options;
  if (found.form === 'state-sync snapshot') return stateSyncSource(found.stateSync, options);
  if (appHash !== undefined || memStores !== undefined) {
    throw new UsageError('NO_APP_HASH', 'an AppHash can prove only a state-sync snapshot', {
      path: found.path,
      found: found.form,
      hint: 'leave out --app-hash and --mem-store, and pass the content hash of the source with --expect',
    });
  }
  if (found.form === 'snapshot') return snapshotSource(found.snapshot, options);
  return exportDirectorySource(found.path, await openExportDirectory(found.path, pool));
}
