/**
 * Which directory is a place: what `retrieve` may write to. A directory is one if it has a mark or a whole snapshot; a new one must be asked
 * for. So a backup disk that is not mounted, or a mistyped path, is noticed. `docs/snapshot-format.md` specifies the mark.
 */
import * as v from 'valibot';
import { NotFoundError, StorageError, SwingSnapError } from '../../errors.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { heightsAmong, snapshotName } from '../../snapshot/layout.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import { readHeight } from './contents.ts';

const MAX_MARK_BYTES = 64 * 1024;

/** A later version may add fields. */
const Mark = v.looseObject({
  format: v.literal('swingsnap-place'),
  version: v.literal(1),
  chainId: v.optional(v.string()),
});

type Mark = v.InferOutput<typeof Mark>;

export interface PlaceOptions {
  /** Whether a new place may be made: in a directory that is missing, empty, or has other things in it. */
  readonly create: boolean;
  /** The chain of the store, if it is known. */
  readonly chainId: string | undefined;
  readonly codec: ZstdCodec;
}

/**
 * Checks that snapshots may be written there.
 * @returns what writes the mark, where it is missing or does not name the chain; called once a snapshot is published
 * @throws {StorageError} `NO_PLACE`; `PLACE_CHAIN` if it holds snapshots of another chain; `PLACE_MARK`
 */
export async function openPlace(
  place: SnapshotPlace,
  { create, chainId, codec }: PlaceOptions,
): Promise<() => Promise<void>> {
  const mark = await readMark(place);
  if (mark === undefined) {
    if (!create && !(await holdsSnapshot(place, codec))) throw await noPlace(place);
  } else if (chainId !== undefined && mark.chainId !== undefined && chainId !== mark.chainId) {
    throw new StorageError('PLACE_CHAIN', 'the snapshot dir holds snapshots of another chain', {
      path: place.location,
      expected: mark.chainId,
      found: chainId,
      hint: 'name the snapshot dir of this chain with --snapshot-dir, or make a new one with --create',
    });
  }
  const isMarked = mark !== undefined && (chainId === undefined || mark.chainId !== undefined);
  return async () => {
    if (!isMarked) await writeMark(place, mark, chainId);
  };
}

/**
 * Marks a place that a snapshot was published in. It is one by its snapshot alone, so a failure is only told.
 * @param mark as {@link openPlace} gives it
 */
export async function markPlace(
  mark: () => Promise<void>,
  note: (message: string) => void,
): Promise<void> {
  try {
    await mark();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    note(`the snapshot dir could not be marked: ${why}`);
  }
}

/**
 * Refuses a link to nothing in the place of the snapshot to be written.
 * @throws {StorageError} `LINK_TO_NOTHING`
 */
export async function refuseLinkAt(place: SnapshotPlace, height: number): Promise<void> {
  await place.open(snapshotName(height)).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error;
  });
}

/**
 * The chain whose snapshots a place holds, as its mark says; undefined if it does not.
 * @param note is told of a mark that cannot be read, which does not matter to a reader
 */
export async function chainOfPlace(
  place: SnapshotPlace,
  note: (message: string) => void,
): Promise<string | undefined> {
  try {
    return (await readMark(place))?.chainId;
  } catch (error) {
    if (!(error instanceof SwingSnapError)) throw error;
    note(`${error.message}: ${place.location}`);
    return undefined;
  }
}

async function readMark(place: SnapshotPlace): Promise<Mark | undefined> {
  const bytes = await place.readMark(MAX_MARK_BYTES);
  if (bytes === undefined) return undefined;
  try {
    return v.parse(Mark, JSON.parse(Buffer.from(bytes).toString()));
  } catch (cause) {
    throw new StorageError('PLACE_MARK', 'the mark of the snapshot dir cannot be read', {
      path: place.location,
      expected: 'version 1 of a mark',
      found: Buffer.from(bytes).toString().slice(0, 100),
      hint: 'update swingsnap if a later version has written it; else remove it, and run this with --create, which writes a new one',
      cause,
    });
  }
}

async function writeMark(
  place: SnapshotPlace,
  old: Mark | undefined,
  chainId: string | undefined,
): Promise<void> {
  const chain = chainId === undefined ? {} : { chainId };
  const mark: Mark = { ...old, format: 'swingsnap-place', version: 1, ...chain };
  await place.writeMark(Buffer.from(`${JSON.stringify(mark, undefined, 2)}\n`));
}

/** Whether it has a whole snapshot, as a place of version 0.1.0 or one that was copied has. */
async function holdsSnapshot(place: SnapshotPlace, codec: ZstdCodec): Promise<boolean> {
  for (const height of heightsAmong(await place.list())) {
    if ((await readHeight(place, height, codec))?.state === 'whole') return true;
  }
  return false;
}

async function noPlace(place: SnapshotPlace): Promise<StorageError> {
  const found = {
    missing: 'nothing',
    empty: 'an empty directory',
    occupied: 'other things, and no whole snapshot',
  }[await place.occupancy()];
  return new StorageError('NO_PLACE', 'there is no snapshot dir', {
    path: place.location,
    expected: 'a directory that swingsnap has made, or one with a whole snapshot',
    found,
    hint: 'check the path, and that its disk is mounted; to begin with a new snapshot dir, run this once with --create',
  });
}
