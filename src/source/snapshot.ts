/** A snapshot as a source: a container of states, whose chunks are passed to modules. */
import type { StoreDestination } from '../modules/swingset/destinations.ts';
import { SWINGSET } from '../modules/swingset/layout.ts';
import { swingsetModule } from '../modules/swingset/module.ts';
import { exportOfSnapshot } from '../modules/swingset/snapshot-form.ts';
import { damaged } from '../snapshot/layout.ts';
import { otherModules } from '../snapshot/manifest.ts';
import type { InstalledState, StateChunk, StateModule } from '../snapshot/module-contract.ts';
import { ChunkReader } from '../snapshot/read/chunk-reader.ts';
import { OpenedSnapshot, type OpenSnapshotOptions } from '../snapshot/read/opened-snapshot.ts';
import { hashChunks } from '../snapshot/read/quick-verify.ts';
import { writeModules } from '../snapshot/read/unpack-modules.ts';
import type { StoredSnapshot } from '../storage/contract.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';
import type { ArtifactSize, Delivered, DeliverOptions, Source } from './source.ts';
import { SWINGSET_STATE } from './swing-store.ts';

/** Opens a stored snapshot, and reads only its manifest. Throws what `readManifestFile` throws. */
export async function snapshotSource(
  stored: StoredSnapshot,
  options: OpenSnapshotOptions,
): Promise<Source> {
  const snapshot = await OpenedSnapshot.open(stored, options);
  const { manifest } = snapshot;
  const { height, contentHash, chunks } = manifest;
  const held = otherModules(manifest).map(([name, { kind }]) => ({ name, kind }));
  const swingset = exportOfSnapshot(snapshot);
  return {
    form: 'snapshot',
    path: stored.location,
    height,
    swingset,
    mayHold: held,
    proof: undefined,
    codes: undefined,
    contentHash,
    others: async () => held,
    artifactSizes: () => artifactSizes(snapshot),
    readers: async () => [swingsetModule({ source: swingset })],
    left: () => {
      const names = held.map(({ name }) => name).join(', ');
      return names === '' ? undefined : `modules of the source that were left out: ${names}`;
    },
    deliver: async (destination, others, deliver) =>
      deliverChunks(snapshot, destination, others, deliver),
    hashChunks: async (hash) => {
      await hashChunks(stored, manifest, snapshot.codec, { pool: snapshot.pool, ...hash });
      return { height, contentHash, chunks };
    },
    close: async () => swingset.close(),
  };
}

async function* artifactSizes(snapshot: OpenedSnapshot): AsyncGenerator<ArtifactSize> {
  for await (const { entries } of snapshot.planned(SWINGSET)) {
    for (const { artifact } of entries) if (artifact !== undefined) yield artifact;
  }
}

async function deliverChunks<Installed extends InstalledState>(
  snapshot: OpenedSnapshot,
  destination: StoreDestination<Installed>,
  others: readonly StateModule[],
  { wholly, ...options }: DeliverOptions,
): Promise<Delivered<Installed>> {
  const { location } = snapshot.stored;
  const again = (): AsyncGenerator<StateChunk> => new ChunkReader(snapshot).chunks(SWINGSET);
  const swingset = swingsetModule({ target: { location, destination, again } });
  const modules = [swingset, ...others] as const;
  const written = await writeModules(snapshot, modules, options);
  const [store, ...rest] = written.states;
  const abort = async (error: unknown): Promise<void> => written.abort(error);
  try {
    if (wholly) refuseUnread(snapshot, store.summary);
  } catch (error) {
    await abort(error);
    throw error;
  }
  return {
    swingset: { module: SWINGSET_STATE, state: store },
    others: others.flatMap((module, at) => {
      const state = rest[at];
      return state === undefined ? [] : [{ module, state }];
    }),
    provedManifest: wholly && written.isReadWhole ? snapshot.file.sha256 : undefined,
    abort,
  };
}

/**
 * A copy skips the artifacts that the artifact mode has no use for, and takes their hashes from the list. A snapshot of
 * that mode must not hold any.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`
 */
function refuseUnread({ stored, manifest }: OpenedSnapshot, { artifacts }: ExportSummary): void {
  const { swingset } = manifest.modules;
  if (artifacts.count === swingset.artifacts.count) return;
  damaged('the snapshot holds artifacts that its artifact mode does not need', {
    path: stored.location,
    expected: `${artifacts.count} (${swingset.artifactMode})`,
    found: swingset.artifacts.count,
  });
}
