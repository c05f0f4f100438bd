/** `remove`: these heights, and no others. */
import { lstatSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { NotFoundError, UsageError } from '../../errors.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import { noProgress } from '../../io/progress.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import { heightOfName } from '../../snapshot/layout.ts';
import type { SnapshotPlace } from '../../storage/contract.ts';
import type { OperationOptions } from '../options.ts';
import { readHeight } from './contents.ts';
import { existingPlace } from './open.ts';
import { freedBy, notRemoved, removable, removeHeight, type RemovableHeight } from './retention.ts';

export interface RemoveOptions extends Pick<OperationOptions, 'progress' | 'signal'> {
  /** Paths of snapshots in their snapshot dirs: `<snapshot dir>/<height>`. */
  readonly snapshots: readonly string[];
  /** Only tells what would be removed. */
  readonly dryRun?: boolean | undefined;
}

export interface Removed {
  readonly dryRun: boolean;
  readonly removed: readonly {
    readonly path: string;
    readonly height: number;
    readonly state: 'whole' | 'damaged';
  }[];
  /** Bytes of whole heights that nothing else had. */
  readonly freed: number;
}

interface NamedHeight {
  readonly place: SnapshotPlace;
  readonly path: string;
  readonly name: string;
  readonly height: number;
  /** How to know it again; undefined if it is damaged. */
  readonly whole: RemovableHeight | undefined;
}

/**
 * Removes snapshots, whole or damaged. All names are checked before the first one is removed.
 * @throws {UsageError} `NOT_A_SNAPSHOT` for a path that is no height of a snapshot dir, or a link
 * @throws {NotFoundError} `SNAPSHOT_MISSING`; {@link StorageError} `NOT_REMOVED`; as `existingPlace`
 */
export async function removeSnapshots(options: RemoveOptions): Promise<Removed> {
  const { dryRun = false, signal, progress = noProgress } = options;
  const codec = await loadZstdCodec();
  const places = new Map<string, SnapshotPlace>();
  const placeIn = (dir: string): SnapshotPlace => {
    const place = places.get(dir) ?? existingPlace(dir, !dryRun);
    places.set(dir, place);
    return place;
  };
  const paths = new Set(options.snapshots.map((path) => resolve(path)));
  const named: NamedHeight[] = [];
  for (const path of paths) {
    signal?.throwIfAborted();
    named.push(await findNamed(path, codec, placeIn));
  }
  let freed = 0;
  const failed: string[] = [];
  for (const one of named) {
    signal?.throwIfAborted();
    const bytes = dryRun ? 0 : await removeNamed(one, codec, progress.note);
    if (bytes === undefined) failed.push(one.path);
    freed += bytes ?? 0;
  }
  const [first] = named;
  if (first !== undefined && failed.length > 0) throw notRemoved(first.place, failed);
  return {
    dryRun,
    removed: named.map(({ path, height, whole }) => {
      return { path, height, state: whole === undefined ? 'damaged' : 'whole' };
    }),
    freed: dryRun ? await wouldFree(named, codec) : freed,
  };
}

async function findNamed(
  path: string,
  codec: ZstdCodec,
  placeIn: (dir: string) => SnapshotPlace,
): Promise<NamedHeight> {
  const height = heightOfName(basename(path));
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink() === true) throw notASnapshot(path, 'a symbolic link');
  if (statIfThere(path) === undefined) {
    throw new NotFoundError('SNAPSHOT_MISSING', 'there is no such snapshot', {
      path,
      hint: 'look at what is there: swingsnap list',
    });
  }
  if (height === undefined) throw notASnapshot(path, 'another name');
  const place = placeIn(dirname(path));
  const found = await readHeight(place, height, codec);
  if (found === undefined || found.state === 'foreign') {
    throw notASnapshot(path, found?.reason ?? 'nothing any more');
  }
  const whole = found.state === 'whole' ? removable(found) : undefined;
  return { place, path, name: found.name, height, whole };
}

function notASnapshot(path: string, found: string): UsageError {
  return new UsageError(
    'NOT_A_SNAPSHOT',
    'this is no snapshot in a snapshot dir: nothing was removed',
    {
      path,
      expected: 'a directory that is named after its height',
      found,
      hint: 'name snapshots as <snapshot dir>/<height>; remove anything else by hand',
    },
  );
}

/** @returns as `removeHeight` */
async function removeNamed(
  { place, name, whole }: NamedHeight,
  codec: ZstdCodec,
  note: (message: string) => void,
): Promise<number | undefined> {
  if (whole !== undefined) return removeHeight(place, whole, { codec, note });
  await place.remove(name);
  return 0;
}

async function wouldFree(named: readonly NamedHeight[], codec: ZstdCodec): Promise<number> {
  let freed = 0;
  for (const place of new Set(named.map((one) => one.place))) {
    const ofPlace = named.filter((one) => one.place === place);
    freed += await freedBy(place, ofPlace, codec);
  }
  return freed;
}
