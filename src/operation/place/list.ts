/** `list`: what is in a place. */
import { TimeoutError } from '../../errors.ts';
import { noProgress } from '../../io/progress.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import type { OperationOptions } from '../options.ts';
import { readPlace } from './contents.ts';
import { factsOf, OtherThings, type HeightFacts, type Others } from './facts.ts';
import { chainOfPlace } from './mark.ts';
import { existingPlace } from './open.ts';
import { isInFuture } from './rules.ts';

export interface ListOptions extends Pick<OperationOptions, 'progress' | 'signal'> {
  readonly snapshotDir: string;
}

export interface Listed extends Others {
  /** Its path. */
  readonly place: string;
  /** As its mark says; undefined if it says none. */
  readonly chainId?: string | undefined;
  /** The highest first. */
  readonly heights: readonly HeightFacts[];
}

/**
 * Lists a place. Reads manifests and lists of entries, and looks for chunks; reads no chunk.
 * @throws as `existingPlace`
 */
export async function listPlace(options: ListOptions): Promise<Listed> {
  const { snapshotDir, signal, progress = noProgress } = options;
  const place = existingPlace(snapshotDir, false);
  const codec = await loadZstdCodec();
  const heights: HeightFacts[] = [];
  const others = new OtherThings();
  for await (const item of readPlace(place, { codec, signal })) {
    if (item.state === 'whole') heights.push(factsOf(item));
    else others.add(item);
  }
  const chainId = await chainOfPlace(place, progress.note);
  const chain = chainId === undefined ? {} : { chainId };
  return { place: place.location, ...chain, heights, ...others.told() };
}

/**
 * For a monitor that must notice when no snapshot comes any more.
 * @param maxAge how old the highest whole height may be, in milliseconds
 * @throws {TimeoutError} `TOO_OLD` if it is older or from the future, or there is none
 */
export function refuseTooOld(
  { place: path, heights: [newest] }: Pick<Listed, 'place' | 'heights'>,
  maxAge: number,
): void {
  const now = new Date();
  const expected = `made in the last ${maxAge / 1000} seconds`;
  const hint = 'check that the machine and the timer that make snapshots run, and what they log';
  if (newest === undefined) {
    const found = 'no whole snapshot';
    throw new TimeoutError('TOO_OLD', 'there is no snapshot', { path, expected, found, hint });
  }
  const { height, madeAt } = newest;
  const found = `height ${height}, made at ${madeAt}`;
  if (isInFuture(new Date(madeAt), now)) {
    throw new TimeoutError(
      'TOO_OLD',
      'the newest snapshot is from the future, so its age is not known',
      {
        path,
        expected,
        found: `${found}; it is ${now.toISOString()} now`,
        hint: 'set the clock of this machine, and that of the machine that makes snapshots',
      },
    );
  }
  if (now.getTime() - Date.parse(madeAt) <= maxAge) return;
  throw new TimeoutError('TOO_OLD', 'the newest snapshot is too old', {
    path,
    expected,
    found,
    hint,
  });
}
