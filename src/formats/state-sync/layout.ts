/**
 * Finds Cosmos SDK state-sync snapshots: the chunks in `<home>/data/snapshots/<height>/<format>/`, or an archive made
 * by `snapshots dump`. Formats 1 to 3 differ only in how their writers ended the stream; one reader reads all.
 *
 * Sources: cosmos-sdk `snapshots/store.go`, `snapshots/chunk.go`, `client/snapshot/dump.go`.
 */
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { VerificationError, type ErrorFacts } from '../../errors.ts';

/** Location of a state-sync snapshot. The height is only a label: the chunks do not contain it. */
export interface FoundStateSync {
  readonly kind: 'chunks' | 'archive';
  readonly path: string;
  readonly height: number;
  readonly format: number;
}

const NUMBER = /^(?:0|[1-9]\d{0,14})$/u;
/** Read size of chunks. The larger it is, the fewer pieces of the inflated stream share a buffer. */
const READ_BYTES = 4 * 1024 * 1024;
const ARCHIVE = /^([1-9]\d{0,14})-(\d{1,4})\.tar\.gz$/u;

/**
 * Finds the state-sync snapshot at a path: an archive, a directory of chunks, of formats, or of heights. If there are
 * several, it returns the newest.
 * @param height of the snapshot to take from a directory of heights, instead of the newest
 * @returns undefined if there is none
 */
export function findStateSync(path: string, height?: number): FoundStateSync | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() === true) {
    const [, height, format] = ARCHIVE.exec(basename(path)) ?? [];
    if (height === undefined || format === undefined) return undefined;
    return { kind: 'archive', path, height: Number(height), format: Number(format) };
  }
  if (stat?.isDirectory() !== true) return undefined;
  const found = findChunks(path) ?? newestBelow(path, findChunks);
  if (found !== undefined) return found;
  if (height !== undefined) return newestBelow(join(path, String(height)), findChunks);
  return newestBelow(path, (dir) => newestBelow(dir, findChunks));
}

/** The heights in a directory of state-sync snapshots (a node's `data/snapshots`), highest first. */
export function stateSyncHeights(dir: string): number[] {
  return numbersBelow(dir).filter(
    (height) => newestBelow(join(dir, String(height)), findChunks) !== undefined,
  );
}

function findChunks(path: string): FoundStateSync | undefined {
  const [format, height] = [basename(path), basename(dirname(path))];
  if (!NUMBER.test(format) || !NUMBER.test(height)) return undefined;
  // Accepted even if the first chunk is missing: the reader reports that.
  const hasChunk = readdirSync(path).some((name) => NUMBER.test(name) && isFile(join(path, name)));
  if (!hasChunk) return undefined;
  return { kind: 'chunks', path, height: Number(height), format: Number(format) };
}

function newestBelow(
  dir: string,
  find: (dir: string) => FoundStateSync | undefined,
): FoundStateSync | undefined {
  for (const number of numbersBelow(dir)) {
    const found = find(join(dir, String(number)));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The directories in `dir` that are named by numbers, highest first; none if `dir` is not a directory. */
function numbersBelow(dir: string): number[] {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && NUMBER.test(entry.name))
    .map(({ name }) => Number(name))
    .sort((a, b) => b - a);
}

/**
 * The bytes of all chunks in a directory, in order.
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` if the numbers have a gap
 */
export async function* readChunkFiles(dir: string): AsyncGenerator<Uint8Array> {
  const numbers = readdirSync(dir)
    .filter((name) => NUMBER.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  for (const [expected, found] of numbers.entries()) {
    const path = join(dir, String(expected));
    if (found !== expected || !isFile(path)) {
      damaged('a chunk is missing', {
        path,
        expected: `chunk ${expected}`,
        found: `chunk ${found}`,
      });
    }
    yield* createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
  }
}

/** Accepts only regular files: opening a pipe blocks until it has a writer. */
function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** @throws {VerificationError} `STATE_SYNC_DAMAGED`, always */
export function damaged(message: string, facts: ErrorFacts): never {
  throw new VerificationError('STATE_SYNC_DAMAGED', message, {
    hint: 'get the state-sync snapshot again, or another one',
    ...facts,
  });
}
