/**
 * Reads archives of `snapshots dump`: a tar, gzipped unless it was unpacked since, of `_snapshot`, then the chunks `0`, `1`, … in order. Its hashes
 * protect only the transport, because the author of the archive computes them.
 *
 * Source: cosmos-sdk `client/snapshot/dump.go`, `load.go`.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { VerificationError } from '../../../errors.ts';
import { HEAD_BYTES, kindOf } from '../../../io/bytes/known-bytes.ts';
import { readHead } from '../../../io/files/file-head.ts';
import { systemCode, systemTrouble } from '../../../io/files/system-error.ts';
import { damaged, endsEarly, type FoundStateSync } from '../layout.ts';
import { DESCRIPTION_FILE, decodeDescription, type Description } from './description.ts';
import { archiveLimit } from './expansion.ts';

/** Limit of `_snapshot`. The hash of each chunk takes 34 bytes, so this is enough for 300 GB of chunks. */
const MAX_DESCRIPTION_BYTES = 1024 * 1024;

/**
 * The bytes of all chunks of an archive, in order. Each chunk is checked at its end.
 * @returns the hash of all chunks, as hex
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export async function* readArchive(found: FoundStateSync): AsyncGenerator<Uint8Array, string> {
  const { path } = found;
  const tar = extract();
  const file = createReadStream(path, { highWaterMark: 1024 * 1024 });
  const gunzip = createGunzip({ chunkSize: 1024 * 1024 });
  const isGzipped = kindOf(readHead(path, HEAD_BYTES).bytes) === 'gzip';
  const steps = isGzipped
    ? ([
        [file, gunzip],
        [gunzip, tar],
      ] as const)
    : ([[file, tar]] as const);
  for (const [from, to] of steps) {
    from.on('error', (error: Error) => to.destroy(error));
    from.pipe(to);
  }
  const limit = archiveLimit(path);
  gunzip.on('data', ({ length }: Buffer) => {
    limit.taken = gunzip.bytesWritten;
    try {
      limit.give(length);
    } catch (error) {
      gunzip.destroy(error as Error);
    }
  });
  const whole = createHash('sha256');
  let description: Description | undefined;
  let next = 0;
  try {
    for await (const entry of tar) {
      const { name, type } = entry.header;
      const expected = description === undefined ? DESCRIPTION_FILE : String(next);
      // Check this first: tar-stream never ends the content of a directory whose header gives a size.
      if (name !== expected || type !== 'file') {
        damaged('the archive holds an unexpected entry', {
          path,
          expected,
          found: name,
        });
      }
      if (description === undefined) {
        description = describe(await readSmall(entry, path), found);
        continue;
      }
      const hash = createHash('sha256');
      for await (const piece of entry as AsyncIterable<Buffer>) {
        hash.update(piece);
        whole.update(piece);
        yield piece;
      }
      refuseOther(`${path}: chunk ${next}`, description.chunkHashes[next], hash.digest('hex'));
      next += 1;
    }
  } catch (cause) {
    if (cause instanceof VerificationError || systemTrouble(cause) !== undefined) throw cause;
    const { chunks } = description ?? {};
    if (isEarlyEnd(cause)) endsInChunk(path, file.bytesRead, chunks, next, cause);
    damaged('the archive cannot be read', { path, cause, found: messageOf(cause) });
  } finally {
    file.destroy();
    gunzip.destroy();
    tar.destroy();
  }
  if (next !== description?.chunks) {
    // A tar without gzip that was cut between two entries.
    if (!isGzipped) endsInChunk(path, file.bytesRead, description?.chunks, next);
    damaged('the archive lacks chunks', {
      path,
      expected: description?.chunks,
      found: next,
    });
  }
  refuseOther(path, description.hash, whole.digest('hex'));
  return description.hash;
}

/** Decodes `_snapshot`, whose height and format were read before. @throws {VerificationError} `STATE_SYNC_DAMAGED` */
function describe(bytes: Buffer, { path, height, format }: FoundStateSync): Description {
  const description = decodeDescription(bytes, `${path}: ${DESCRIPTION_FILE}`);
  if (description.height === height && description.format === format) return description;
  return damaged('the archive was changed while it was read', {
    path,
    expected: `height ${height}, format ${format}`,
    found: `height ${description.height}, format ${description.format}`,
    hint: 'run it again',
  });
}

/** Whether gzip or tar say that their input ended too soon. */
function isEarlyEnd(error: unknown): boolean {
  return systemCode(error) === 'Z_BUF_ERROR' || messageOf(error) === 'Unexpected end of data';
}

function endsInChunk(
  path: string,
  bytes: number,
  chunks: number | undefined,
  whole: number,
  cause?: unknown,
): never {
  const expected = chunks === undefined ? undefined : `${chunks} chunks`;
  const found = chunks === undefined ? undefined : `${whole} whole chunks`;
  return endsEarly('the archive', path, bytes, { expected, found, cause });
}

/**
 * The hash of an archive's chunks. Reads and checks all of them.
 * @throws what {@link readArchive} throws
 */
export async function readArchiveHash(found: FoundStateSync): Promise<string> {
  const chunks = readArchive(found);
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) return next.value;
  }
}

async function readSmall(entry: AsyncIterable<unknown>, path: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of entry as AsyncIterable<Buffer>) {
    pieces.push(piece);
    size += piece.length;
    if (size > MAX_DESCRIPTION_BYTES)
      damaged('the description in the archive is too large', { path, found: size });
  }
  return Buffer.concat(pieces);
}

function refuseOther(path: string, expected: string | undefined, found: string): void {
  if (found !== expected)
    damaged('the hash differs from the one in the archive', { path, expected, found });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
