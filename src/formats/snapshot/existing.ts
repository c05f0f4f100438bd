/** What stands already where a snapshot is to be. */
import { NotFoundError, SwingSnapError } from '../../errors.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StoredSnapshot } from '../../storage/contract.ts';
import { ENTRIES_FILE, MANIFEST_FILE, MAX_MANIFEST_BYTES, snapshotName } from './layout.ts';
import { readSnapshotManifest, type SnapshotManifest } from './manifest.ts';
import { quickVerifySnapshot } from './quick-verify.ts';

/**
 * The snapshot of the same height that is there already, if it is the same and its chunks are whole.
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if it is another, or damaged, and may not be replaced
 */
export async function existingSnapshot(
  storage: SnapshotStorage,
  manifest: SnapshotManifest,
  { replace, codec }: { readonly replace: boolean; readonly codec: ZstdCodec },
): Promise<SnapshotManifest | undefined> {
  const there = await storage.open(snapshotName(manifest.height)).catch((error: unknown) => {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  });
  if (there === undefined) return undefined;
  if (!(await isOurs(there))) throw notASnapshot(there.location);
  let found: string;
  try {
    const old = await readSnapshotManifest(there);
    found = old.contentHash;
    if (found === manifest.contentHash) {
      await quickVerifySnapshot(there, codec);
      return old;
    }
  } catch (error) {
    found = `a damaged snapshot (${error instanceof Error ? error.message : String(error)})`;
  }
  if (replace) return undefined;
  throw new SwingSnapError('SNAPSHOT_EXISTS', 'another snapshot of this height is there already', {
    path: there.location,
    expected: manifest.contentHash,
    found,
    hint: 'compare the two, then use --replace to put the new one in its place',
  });
}

/** Whether it is a snapshot, be it a damaged one: what has neither a manifest nor a list of entries is not ours. */
async function isOurs(there: StoredSnapshot): Promise<boolean> {
  const has = async (file: string, maxBytes: number): Promise<boolean> =>
    there.read(file, maxBytes).then(
      () => true,
      (error: unknown) => !(error instanceof NotFoundError),
    );
  // Nothing of the list is read, since it is longer than no bytes: it is only looked for.
  return (await has(MANIFEST_FILE, MAX_MANIFEST_BYTES)) || has(ENTRIES_FILE, 0);
}

function notASnapshot(path: string): SwingSnapError {
  return new SwingSnapError(
    'SNAPSHOT_EXISTS',
    'something else stands where the snapshot should be',
    {
      path,
      expected: 'nothing, or a snapshot',
      found: `neither ${MANIFEST_FILE} nor ${ENTRIES_FILE} in it`,
      hint: 'look at it, and move or remove it by hand',
    },
  );
}
