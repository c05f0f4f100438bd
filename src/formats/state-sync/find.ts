/**
 * Finds Cosmos SDK state-sync snapshots: the chunks in `<home>/data/snapshots/<height>/<format>/`, or an archive made
 * by `snapshots dump`. Formats 1 to 3 differ only in how their writers ended the stream; one reader reads all.
 *
 * An archive is known by its first entry, which says its height and format, and not by its name. Chunks do not say
 * them: only the names of their directories do.
 *
 * Sources: cosmos-sdk `snapshots/store.go`, `snapshots/chunk.go`, `client/snapshot/dump.go`.
 */
import { basename, dirname, join } from 'node:path';
import { UsageError } from '../../errors.ts';
import { firstTarEntry, gunzipHead, HEAD_BYTES, kindOf } from '../../io/bytes/known-bytes.ts';
import { readHead } from '../../io/files/file-head.ts';
import { isLinkToNothing, statIfThere } from '../../io/files/stat-if-there.ts';
import { damaged, endsEarly, entriesIn, isFile, NUMBER, type FoundStateSync } from './layout.ts';
import { DESCRIPTION_FILE, peekDescription } from './stream/description.ts';

/** Height and format of a description take less. */
const PEEKED_BYTES = 32;
/** For chunks in a directory that does not tell it. Nodes write this one today. */
const USUAL_FORMAT = 3;

/**
 * Finds the state-sync snapshot at a path: an archive, a directory of chunks, of formats, or of heights. If there are
 * several, it returns the newest, and passes over links to nothing. The newest may be unfinished: `newestStateSync`
 * knows.
 * @param height which snapshot of a directory of heights to take, instead of the newest; also the height of chunks in
 *   a directory whose names do not tell it
 * @returns undefined if there is none
 * @throws {StorageError} `LINK_TO_NOTHING` if `path` is one
 * @throws {UsageError} `HEIGHT_UNKNOWN` for such chunks, if `height` is not given
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` if an archive ends before its height
 */
export function findStateSync(path: string, height?: number): FoundStateSync | undefined {
  const stat = statIfThere(path);
  if (stat?.isFile() === true) return findArchive(path, stat.size);
  if (stat?.isDirectory() !== true) return undefined;
  const [ofFormat] = foundBelow(path, findChunks);
  const [ofHeight] = snapshotsIn(path, height);
  return findChunks(path) ?? ofFormat ?? ofHeight ?? findUnnamedChunks(path, height);
}

/**
 * The state-sync snapshots in a directory of heights (a node's `data/snapshots`), the highest height and format first.
 * @param height leaves out all others
 */
export function* snapshotsIn(dir: string, height?: number): Generator<FoundStateSync> {
  const heights =
    height === undefined ? foundBelow(dir, (path) => path) : [join(dir, String(height))];
  for (const path of heights) yield* foundBelow(path, findChunks);
}

function findArchive(path: string, size: number): FoundStateSync | undefined {
  const { bytes, isAll } = readHead(path, HEAD_BYTES);
  const isGzipped = kindOf(bytes) === 'gzip';
  const tar = isGzipped ? unpackedHead(bytes, path) : { bytes, isAll };
  const isCut = isAll && !(isGzipped && tar.isAll);
  const entry = firstTarEntry(tar.bytes);
  if (entry === undefined) {
    const name = tar.bytes.subarray(0, DESCRIPTION_FILE.length).toString();
    if (isCut && (isGzipped || name === DESCRIPTION_FILE)) endsEarly('the archive', path, size);
    return undefined;
  }
  if (entry.name !== DESCRIPTION_FILE) return undefined;
  if (entry.content.length < Math.min(entry.size, PEEKED_BYTES)) {
    endsEarly('the archive', path, size);
  }
  return { kind: 'archive', path, ...peekDescription(entry.content, path) };
}

function unpackedHead(bytes: Buffer, path: string): ReturnType<typeof gunzipHead> {
  try {
    return gunzipHead(bytes);
  } catch (cause) {
    return damaged('the gzip file is damaged at its beginning', {
      path,
      found: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

function findChunks(path: string): FoundStateSync | undefined {
  const [format, height] = [basename(path), basename(dirname(path))];
  if (!NUMBER.test(format) || !NUMBER.test(height)) return undefined;
  // Accepted even if the first chunk is missing: the reader reports that.
  const hasChunk = entriesIn(path).some(
    ({ name }) => NUMBER.test(name) && isFile(join(path, name)),
  );
  if (!hasChunk) return undefined;
  return { kind: 'chunks', path, height: Number(height), format: Number(format) };
}

/** Chunks that were copied to a directory of another name: the first begins as a zlib stream does. */
function findUnnamedChunks(path: string, height: number | undefined): FoundStateSync | undefined {
  const first = join(path, '0');
  if (!isFile(first)) return undefined;
  const { bytes } = readHead(first, 2);
  const isZlib = bytes.length === 2 && bytes[0] === 0x78 && bytes.readUInt16BE() % 31 === 0;
  if (!isZlib) return undefined;
  if (height !== undefined) return { kind: 'chunks', path, height, format: USUAL_FORMAT };
  throw new UsageError(
    'HEIGHT_UNKNOWN',
    'chunks of a state-sync snapshot do not say their height',
    {
      path,
      expected: 'a directory <height>/<format>',
      hint: 'name their height with --height N',
    },
  );
}

/** What `find` finds in the directories in `dir` that are named by numbers, highest first. */
function* foundBelow<Found>(
  dir: string,
  find: (path: string) => Found | undefined,
): Generator<Found> {
  for (const number of numbersBelow(dir)) {
    const path = join(dir, String(number));
    const found = isLinkToNothing(path) ? undefined : find(path);
    if (found !== undefined) yield found;
  }
}

/** The directories in `dir` that are named by numbers, highest first. */
function numbersBelow(dir: string): number[] {
  return entriesIn(dir)
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && NUMBER.test(entry.name))
    .map(({ name }) => Number(name))
    .sort((a, b) => b - a);
}
