/** Detects which form of source a path holds, from its content. */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { NotFoundError, UsageError } from '../errors.ts';
import { MANIFEST_FILE as EXPORT_MANIFEST_FILE } from '../formats/export-directory/layout.ts';
import type { FoundStateSync } from '../formats/state-sync/layout.ts';
import {
  newestStateSync,
  stateSyncHeights,
  type NewestStateSyncOptions,
} from '../formats/state-sync/newest.ts';
import { isLinkToNothing, statIfThere } from '../io/files/stat-if-there.ts';
import { listed } from '../io/listed.ts';
import {
  CHUNKS_DIR,
  ENTRIES_FILE,
  heightsAmong,
  MANIFEST_FILE as SNAPSHOT_MANIFEST_FILE,
  snapshotName,
} from '../snapshot/layout.ts';
import type { StoredSnapshot } from '../storage/contract.ts';
import { storedDirectory } from '../storage/directory.ts';
import { describe, FORMS } from './describe.ts';

/** The source found at a path. `path` is absolute. */
export type FoundSource =
  | { readonly form: 'snapshot'; readonly path: string; readonly snapshot: StoredSnapshot }
  | { readonly form: 'export directory'; readonly path: string }
  | {
      readonly form: 'state-sync snapshot';
      readonly path: string;
      readonly stateSync: FoundStateSync;
    };

export interface FindOptions extends NewestStateSyncOptions {
  /** Which of several heights to take, by default the newest; ignored where the source is one height. */
  readonly height?: number | undefined;
  /** Is told of what is passed over: links to nothing, and state-sync snapshots that are not complete. */
  readonly note?: ((message: string) => void) | undefined;
}

/**
 * @param source a snapshot, an export directory, a state-sync snapshot, or a directory of several heights
 * @throws {NotFoundError} `SOURCE_MISSING`, `NO_SNAPSHOT`; `HEIGHT` if none of several heights is the wanted one
 * @throws as {@link newestStateSync}
 * @throws {UsageError} `AMBIGUOUS_SOURCE`; {@link StorageError} `LINK_TO_NOTHING`
 */
export async function findSource(source: string, options: FindOptions): Promise<FoundSource> {
  const { height, note, scratchDir } = options;
  const path = resolve(source);
  const stat = statIfThere(path);
  if (stat === undefined) {
    throw new NotFoundError('SOURCE_MISSING', 'nothing there', {
      path,
      hint: `name ${FORMS}`,
    });
  }
  const isSnapshot = existsSync(join(path, SNAPSHOT_MANIFEST_FILE));
  const isExport = existsSync(join(path, EXPORT_MANIFEST_FILE));
  if (isSnapshot && isExport) {
    throw new UsageError(
      'AMBIGUOUS_SOURCE',
      'this directory is both a snapshot and an export directory',
      {
        path,
        found: `${SNAPSHOT_MANIFEST_FILE} and ${EXPORT_MANIFEST_FILE}`,
      },
    );
  }
  // A snapshot that has lost its manifest is damaged. Its reader reports that.
  const isRuin = existsSync(join(path, ENTRIES_FILE)) || existsSync(join(path, CHUNKS_DIR));
  if (isSnapshot || (isRuin && !isExport)) {
    return { form: 'snapshot', path, snapshot: storedDirectory(path) };
  }
  if (isExport) return { form: 'export directory', path };
  if (note !== undefined && stat.isDirectory()) noteLinksToNothing(path, note);
  const stateSync = await newestStateSync(path, options);
  if (stateSync !== undefined)
    return { form: 'state-sync snapshot', path: stateSync.path, stateSync };
  const heights = stat.isDirectory() ? snapshotHeights(path) : [];
  const taken = height === undefined ? heights[0] : heights.find((each) => each === height);
  if (taken !== undefined) {
    const found = join(path, snapshotName(taken));
    return { form: 'snapshot', path: found, snapshot: storedDirectory(found) };
  }
  const ofNode = stat.isDirectory() ? await findInNode(path, options) : undefined;
  if (ofNode !== undefined)
    return { form: 'state-sync snapshot', path: ofNode.path, stateSync: ofNode };
  if (height !== undefined)
    refuseOtherHeights(path, height, [...heights, ...(await stateSyncHeights(path, scratchDir))]);
  const { what, hint } = describe(path, stat);
  throw new NotFoundError('NO_SNAPSHOT', 'no snapshot, and no other source', {
    path,
    expected: FORMS,
    found: what,
    hint,
  });
}

/** Tells of heights that cannot be seen, for instance because their disk is not mounted. */
function noteLinksToNothing(dir: string, note: (message: string) => void): void {
  for (const height of heightsAmong(readdirSync(dir))) {
    const path = join(dir, snapshotName(height));
    if (isLinkToNothing(path)) note(`${path} is a link to nothing, and is passed over`);
  }
}

/**
 * Finds the newest complete state-sync snapshot of a node, by its home or its data directory.
 * @throws {NotFoundError} `HEIGHT`; as {@link newestStateSync}
 */
export async function findInNode(
  path: string,
  options: NewestStateSyncOptions,
): Promise<FoundStateSync | undefined> {
  const { height, scratchDir } = options;
  for (const place of [join(path, 'data', 'snapshots'), join(path, 'snapshots')]) {
    const found = await newestStateSync(place, options);
    if (found !== undefined) return found;
    if (height !== undefined)
      refuseOtherHeights(place, height, await stateSyncHeights(place, scratchDir));
  }
  return undefined;
}

/** Highest first. Does not skip a damaged height for an older one: the reader reports the damage. */
function snapshotHeights(dir: string): number[] {
  const names = readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => name);
  return heightsAmong(names).filter((height) => {
    const path = join(dir, snapshotName(height));
    return !isLinkToNothing(path) && !isNoSnapshot(path);
  });
}

/** @throws {NotFoundError} `HEIGHT` if there are heights, of which none is the wanted one */
export function refuseOtherHeights(path: string, wanted: number, heights: readonly number[]): void {
  if (heights.length === 0) return;
  throw new NotFoundError('HEIGHT', 'there is no such height', {
    path,
    expected: wanted,
    found: listed(heights),
    hint: 'name one of these heights with --height, or leave it out for the newest',
  });
}

/** Whether `dir` visibly holds no file of a snapshot: unrelated directories may have numbers for names. */
function isNoSnapshot(dir: string): boolean {
  try {
    const names = readdirSync(dir);
    return ![SNAPSHOT_MANIFEST_FILE, ENTRIES_FILE, CHUNKS_DIR].some((name) => names.includes(name));
  } catch {
    return false;
  }
}
