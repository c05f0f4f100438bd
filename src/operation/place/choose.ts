/** Chooses heights of a place. */
import { dirname, resolve } from 'node:path';
import { UsageError } from '../../errors.ts';
import { heightOfName, snapshotName } from '../../snapshot/layout.ts';
import { readManifestFile } from '../../snapshot/manifest.ts';
import { findSource, refuseOtherHeights } from '../../source/find.ts';
import type { SnapshotPlace, StoredSnapshot } from '../../storage/contract.ts';
import { directoryStorage } from '../../storage/directory.ts';
import { refuseHeight } from '../with-source.ts';
import { chainOfPlace } from './mark.ts';

/** Which heights of a place; by default the highest. */
export interface HeightChoice {
  readonly heights?: readonly number[] | undefined;
  readonly all?: boolean | undefined;
  /** This height and all above it. */
  readonly since?: number | undefined;
}

export interface ChosenHeights {
  /** Absolute path of the snapshot or the place. */
  readonly path: string;
  /** The chain of the place, if its mark says it. */
  readonly chainId: string | undefined;
  /** The highest first. */
  readonly heights: readonly number[];
  /** Whether each of them was asked for, so that none may be missing. */
  readonly isNamed: boolean;
  /** @throws {NotFoundError} `SNAPSHOT_MISSING` if it was removed meanwhile */
  open(height: number): Promise<StoredSnapshot>;
}

export interface ChooseOptions extends HeightChoice {
  /** A snapshot or a place. */
  readonly source: string;
  readonly scratchDir: string;
  readonly note: (message: string) => void;
}

/**
 * @throws {NotFoundError} `SOURCE_MISSING`, `NO_SNAPSHOT`, `HEIGHT`; {@link UsageError} `NOT_A_SNAPSHOT`
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` for the manifest of a source that is one snapshot
 */
export async function chooseHeights(options: ChooseOptions): Promise<ChosenHeights> {
  const { scratchDir, note } = options;
  const path = resolve(options.source);
  const found = await findSource(path, { scratchDir, note });
  if (found.form !== 'snapshot') {
    throw new UsageError('NOT_A_SNAPSHOT', `the source is no snapshot: ${found.form}`, {
      path: found.path,
      expected: 'a snapshot, or a directory of several',
      hint: 'make a snapshot of it: swingsnap retrieve --from SOURCE --snapshot-dir DIR',
    });
  }
  return found.path === path
    ? oneSnapshot(found.snapshot, options)
    : amongSeveral(directoryStorage(path), found.snapshot, options);
}

async function oneSnapshot(
  stored: StoredSnapshot,
  { heights = [], since, note }: ChooseOptions,
): Promise<ChosenHeights> {
  const path = stored.location;
  const { height } = (await readManifestFile(stored)).manifest;
  for (const wanted of heights) refuseHeight({ height, path }, wanted);
  const isWanted = since === undefined || height >= since;
  const isInPlace = heightOfName(stored.name) !== undefined;
  return {
    path,
    chainId: isInPlace ? await chainOfPlace(directoryStorage(dirname(path)), note) : undefined,
    heights: isWanted ? [height] : [],
    isNamed: true,
    open: async () => stored,
  };
}

async function amongSeveral(
  place: SnapshotPlace,
  highest: StoredSnapshot,
  { heights: named, all = false, since, note }: ChooseOptions,
): Promise<ChosenHeights> {
  const isNamed = !all && since === undefined;
  const wanted = named ?? [heightOfName(highest.name) ?? 0];
  const there = await heightsIn(place);
  if (isNamed) {
    for (const height of wanted) {
      const isLink = height === heightOfName(highest.name);
      if (!isLink && !there.includes(height)) refuseOtherHeights(place.location, height, there);
    }
  }
  const chosen = isNamed ? new Set(wanted) : there.filter((height) => height >= (since ?? 0));
  return {
    path: place.location,
    chainId: await chainOfPlace(place, note),
    heights: [...chosen].sort((a, b) => b - a),
    isNamed,
    open: async (height) => place.open(snapshotName(height)),
  };
}

/** The heights in a place, the highest first. Other names are not gathered: there may be a million other things. */
export async function heightsIn(place: SnapshotPlace): Promise<number[]> {
  const heights: number[] = [];
  for await (const { name, kind } of place.contents()) {
    const height = heightOfName(name);
    if (kind === 'snapshot' && height !== undefined) heights.push(height);
  }
  return heights.sort((a, b) => b - a);
}
