/** Work directories of snapshots that are published, replaced or removed, and what killed processes leave of them. */
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { HeldDirectory } from '../io/files/held-directory.ts';
import { removeLeftovers, WorkDirectory, type Rescue } from '../io/files/work-directory.ts';

/** In a work directory: the tree that will be renamed, one that was replaced, and one that goes. */
export const STAGED = 'new';
export const REPLACED = 'old';
export const REMOVED = 'removed';
/** The same: trees that were staged in others, with a number. */
const SALVAGED = 'left-';
/** `.<name>-<id>`: work directory of a snapshot that is being published or removed. */
export const WORK_NAME = /^\.(?<name>[^.].*)-[0-9a-f]{12}$/su;

/** Restores the old snapshot after a run that was killed between the two renames of a replacement. */
export const putBack: Rescue = ({ path, location }) => {
  const name = WORK_NAME.exec(basename(location))?.groups?.['name'];
  const old = join(path, REPLACED);
  if (name === undefined || !existsSync(old) || !existsSync(join(path, STAGED))) return;
  // Next to the work directory, whatever path leads to it now.
  const final = `${path}/../${name}`;
  if (!existsSync(final)) renameSync(old, final);
};

export function workOn(place: HeldDirectory, name: string): WorkDirectory {
  return WorkDirectory.make(place.path, `.${name}-`, WORK_NAME, putBack);
}

/**
 * Moves what killed processes have staged in a place into a new work directory, and removes the rest of what they left.
 * @returns the paths of the trees, and the work directory that they are in
 */
export function salvageTrees(place: HeldDirectory): { trees: string[]; work: WorkDirectory } {
  const work = WorkDirectory.makeBeside(place.path, '.salvage-');
  const trees: string[] = [];
  removeLeftovers(place.path, WORK_NAME, (left) => {
    putBack(left);
    for (const name of readdirSync(left.path)) {
      if (name !== STAGED && !name.startsWith(SALVAGED)) continue;
      const tree = join(work.path, `${SALVAGED}${trees.length}`);
      renameSync(join(left.path, name), tree);
      trees.push(tree);
    }
  });
  return { trees, work };
}
