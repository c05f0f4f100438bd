/** Writes archives for `snapshots load`; see `dump-archive.ts`. */
import { rename, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import { SwingSnapError, VerificationError } from '../../../errors.ts';
import { inDirectory } from '../../../io/files/held-directory.ts';
import { syncDirectory, writeDurably, writeFully } from '../../../io/files/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../../io/files/scratch.ts';
import { statIfThere } from '../../../io/files/stat-if-there.ts';
import { WorkDirectory } from '../../../io/files/work-directory.ts';
import type { Progress } from '../../../io/progress.ts';
import { findStateSync } from '../find.ts';
import type { Chunks, ChunkStream } from '../stream/chunk-stream.ts';
import { readArchiveHash } from '../stream/dump-archive.ts';
import { bytesField, numberField } from '../stream/encode-item.ts';
import { fileHeader, filePadding, TAR_END } from '../stream/ustar.ts';

/** Snapshot and chunks of an archive. */
export interface ArchiveContent {
  readonly height: number;
  readonly format: number;
  readonly stream: ChunkStream;
  readonly chunks: Chunks;
  /** Gets the bytes of the chunks as they are written. */
  readonly progress: Progress;
}

/** The usual file name of an archive. */
export function archiveName(height: number, format: number): string {
  return `${height}-${format}.tar.gz`;
}

/**
 * Publishes an archive atomically: a reader of `path` sees the old file, no file, or the complete new one.
 * @param path in an existing directory
 * @param replace replace another archive at `path`
 * @returns false if an archive of the same chunks already existed
 * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if another archive exists and `replace` is off
 */
export async function publishArchive(
  path: string,
  content: ArchiveContent,
  replace: boolean,
): Promise<boolean> {
  if (statIfThere(path) !== undefined) {
    const found = await hashOfArchive(path);
    if (found === content.chunks.hash.toString('hex')) return false;
    if (!replace) {
      throw new SwingSnapError('SNAPSHOT_EXISTS', 'another archive of that height already exists', {
        path,
        expected: content.chunks.hash.toString('hex'),
        found: found ?? 'a damaged archive',
        hint: 'replace it with --replace, or name another directory with --snapshot-dir',
      });
    }
  }
  await inDirectory(dirname(path), async (place) => {
    // If this run is killed, the next run removes the directory.
    const work = WorkDirectory.make(place.path, `${TEMPORARY_PREFIX}archive-`);
    try {
      const built = join(work.path, basename(path));
      await writeDurably(built, async (file) => writeArchive(file, content));
      await rename(built, place.at(basename(path)));
    } finally {
      work.remove();
    }
    await syncDirectory(place.path);
  });
  return true;
}

async function writeArchive(file: FileHandle, content: ArchiveContent): Promise<void> {
  await pipeline(tarOf(content), createGzip({ level: constants.Z_BEST_SPEED }), async (gzipped) => {
    for await (const piece of gzipped as AsyncIterable<Buffer>) await writeFully(file, piece);
  });
}

/** @returns undefined if the archive is damaged */
async function hashOfArchive(path: string): Promise<string | undefined> {
  try {
    const found = findStateSync(path);
    return found?.kind === 'archive' ? await readArchiveHash(found) : undefined;
  } catch (error) {
    if (error instanceof VerificationError) return undefined;
    throw error;
  }
}

/** Encodes `Snapshot`, which describes an archive; see `dump-archive.ts`. */
export function encodeDescription({
  height,
  format,
  hashes,
  hash,
}: Pick<ArchiveContent, 'height' | 'format'> & Pick<Chunks, 'hashes' | 'hash'>): Buffer {
  return Buffer.concat([
    numberField(1, height),
    numberField(2, format),
    numberField(3, hashes.length),
    bytesField(4, hash),
    // `Metadata`, whose only field repeats.
    bytesField(5, Buffer.concat(hashes.map((each) => bytesField(1, each)))),
  ]);
}

function* tarOf({ height, format, stream, chunks, progress }: ArchiveContent): Generator<Buffer> {
  const { hashes, hash } = chunks;
  const description = encodeDescription({ height, format, hashes, hash });
  yield fileHeader('_snapshot', description.length);
  yield description;
  yield filePadding(description.length);
  for (const number of hashes.keys()) {
    const size = stream.sizeOfChunk(number);
    yield fileHeader(String(number), size);
    for (const piece of stream.chunk(number)) {
      const { length } = piece;
      yield piece;
      progress.advance(length);
    }
    yield filePadding(size);
  }
  yield TAR_END;
}
