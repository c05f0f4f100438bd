/**
 * Chooses the newest complete snapshot of a node. The directory of an unfinished one looks the same as others: the node
 * needs seconds to minutes for one, and one that was interrupted stays for ever. Which are complete is in `metadata.db`
 * beside them.
 *
 * Without a listing that can be read, only a part of it can be seen without inflating all chunks: that no chunk before the
 * last is missing, and that the last ends as Go ends a zlib stream. A snapshot that other software has compressed may
 * end otherwise.
 */
import { join, resolve } from 'node:path';
import { NotFoundError } from '../../errors.ts';
import { readTail } from '../../io/files/file-head.ts';
import { listed } from '../../io/listed.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { findStateSync, snapshotsIn } from './find.ts';
import { chunkNumbers, type FoundStateSync } from './layout.ts';
import { LISTING, nameOf, readListing, type Listing } from './listing.ts';

export interface NewestStateSyncOptions {
  /** As for {@link findStateSync}. */
  readonly height?: number | undefined;
  /** An existing directory, for a copy of `metadata.db`. */
  readonly scratchDir: string;
  /** Receives notes for the operator, one line each: what was passed over, and why. */
  readonly note?: ((message: string) => void) | undefined;
}

/**
 * Finds the state-sync snapshot at a path, as {@link findStateSync} does. Of a directory of heights (a node's
 * `data/snapshots`) it takes the newest that is complete. The node may run: its files and its lock are left alone.
 * @returns undefined if there is none, or none of that height
 * @throws {NotFoundError} `NO_SNAPSHOT` if none is complete; `HEIGHT` if that of the height is not
 * @throws as {@link findStateSync}; system errors
 */
export async function newestStateSync(
  path: string,
  { height, scratchDir, note = () => undefined }: NewestStateSyncOptions,
): Promise<FoundStateSync | undefined> {
  const place = resolve(path);
  const found = findStateSync(place, height);
  if (found === undefined || !isInPlace(found, place)) return found;
  const listing = await readListing(place, scratchDir);
  const all = judgeAll(place, listing);
  const judged = all.filter((each) => height === undefined || each.found.height === height);
  const taken =
    judged.find(({ state }) => state === 'whole') ??
    judged.find(({ state }) => state === 'open') ??
    // Its reader reports what is missing.
    judged.find(({ state }) => state === 'broken');
  if (taken === undefined) return refuseUnlisted(all, found, height);
  const passed = judged.slice(0, judged.indexOf(taken));
  if (listing.why !== undefined) note(`${join(place, LISTING)} cannot be read: ${listing.why}`);
  if (passed.length > 0) note(`passed over ${listed(passed.map(described))}`);
  if (listing.why !== undefined || (listing.listed === undefined && passed.length > 0)) {
    note(`took ${described(taken)}`);
  }
  return taken.found;
}

/**
 * The heights in a directory of state-sync snapshots, highest first: only those that are complete, as far as
 * {@link newestStateSync} can tell. None if it is no such directory.
 */
export async function stateSyncHeights(path: string, scratchDir: string): Promise<number[]> {
  const place = resolve(path);
  const [any] = snapshotsIn(place);
  if (any === undefined) return [];
  return heightsOf(judgeAll(place, await readListing(place, scratchDir)));
}

/** `whole` if it is known to be complete; `open` if its end was not seen; `broken` if chunks are missing; `gone` if all. */
interface Judged {
  readonly found: FoundStateSync;
  readonly state: 'whole' | 'open' | 'broken' | 'unlisted' | 'gone';
  /** Says what was seen. */
  readonly why: string;
}

/** All that are there or listed, the highest first. */
function judgeAll(place: string, listing: Listing): Judged[] {
  const there = [...snapshotsIn(place)];
  const names = new Set(there.map(nameOf));
  const gone = [...(listing.listed?.values() ?? [])].filter((entry) => !names.has(nameOf(entry)));
  return [
    ...there.map((found) => ({ found, ...judge(found, listing) })),
    ...gone.map(({ height, format }) => ({
      found: {
        kind: 'chunks',
        path: join(place, `${height}`, `${format}`),
        height,
        format,
      } as const,
      state: 'gone' as const,
      why: `listed in ${LISTING}, but no chunk is there`,
    })),
  ].sort(({ found: a }, { found: b }) => b.height - a.height || b.format - a.format);
}

function judge(found: FoundStateSync, { listed: entries }: Listing): Omit<Judged, 'found'> {
  const entry = entries?.get(nameOf(found));
  if (entries !== undefined && entry === undefined) {
    return { state: 'unlisted', why: `not listed in ${LISTING}, so unfinished` };
  }
  const numbers = chunkNumbers(found.path);
  const gap = numbers.findIndex((number, at) => number !== at);
  const missing = gap === -1 ? numbers.length : gap;
  if (gap !== -1 || (entry !== undefined && missing < entry.chunks)) {
    return { state: 'broken', why: `chunk ${missing} is missing` };
  }
  if (entry !== undefined) {
    return numbers.length === entry.chunks
      ? { state: 'whole', why: `${entry.chunks} chunks, as ${LISTING} has it` }
      : {
          state: 'broken',
          why: `${numbers.length} chunks, of which ${LISTING} lists ${entry.chunks}`,
        };
  }
  return endsAsGo(found.path, numbers.length)
    ? { state: 'whole', why: 'no chunk is missing, and its stream has an end' }
    : {
        state: 'open',
        why: 'no chunk is missing before the last; the end of its stream cannot be seen',
      };
}

/** What Go writes at the end of a deflate stream: an empty block, the last. Then come the 4 bytes of the Adler-32. */
const GO_END = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const ADLER_BYTES = 4;

/** Whether the chunks end as a zlib stream that Go has ended once, or twice as the SDK before 0.47. */
function endsAsGo(dir: string, chunks: number): boolean {
  const last = [chunks - 2, chunks - 1].filter((number) => number >= 0);
  const most = GO_END.length + 2 * ADLER_BYTES;
  const tail = Buffer.concat(last.map((number) => readTail(join(dir, String(number)), most)));
  const endsAt = (bytes: number): boolean =>
    tail.subarray(-bytes - GO_END.length, -bytes).equals(GO_END);
  const isTwice = tail.subarray(-2 * ADLER_BYTES, -ADLER_BYTES).equals(tail.subarray(-ADLER_BYTES));
  return endsAt(ADLER_BYTES) || (isTwice && endsAt(2 * ADLER_BYTES));
}

function isInPlace({ path, height, format }: FoundStateSync, place: string): boolean {
  return path === join(place, String(height), String(format));
}

function described({ found, why }: Judged): string {
  return `${nameOf(found)} (${why})`;
}

function heightsOf(judged: readonly Judged[]): number[] {
  const complete = judged.filter(({ state }) => state === 'whole' || state === 'open');
  return [...new Set(complete.map(({ found }) => found.height))];
}

/** @param found the newest, which is not listed */
function refuseUnlisted(
  all: readonly Judged[],
  found: FoundStateSync,
  height: number | undefined,
): never {
  const others = heightsOf(all);
  const next =
    others.length === 0
      ? 'wait until the node has finished one'
      : `name one of the complete heights with --height: ${listed(others)}`;
  throw new NotFoundError(
    height === undefined ? 'NO_SNAPSHOT' : 'HEIGHT',
    'the state-sync snapshot is not complete',
    {
      path: found.path,
      expected: `an entry of ${LISTING}, which a node makes once a snapshot is complete`,
      found: 'none',
      hint: `${next}; to read this one all the same, name its directory: ${shellQuote(found.path)}`,
    },
  );
}
