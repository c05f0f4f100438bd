/**
 * Reads archives of `snapshots dump`: a gzipped tar of `_snapshot`, then the chunks `0`, `1`, … in order. Its hashes
 * protect only the transport, because the author of the archive computes them.
 *
 * Source: cosmos-sdk `client/snapshot/dump.go`, `load.go`, `snapshots/types/snapshot.pb.go`.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { VerificationError } from '../../../errors.ts';
import { systemTrouble } from '../../../io/files/system-error.ts';
import { damaged, type FoundStateSync } from '../layout.ts';
import { archiveLimit } from './expansion.ts';
import { ProtoReader } from './proto.ts';

/** Limit of `_snapshot`. The hash of each chunk takes 34 bytes, so this is enough for 300 GB of chunks. */
const MAX_DESCRIPTION_BYTES = 1024 * 1024;

interface Description {
  readonly height: number;
  readonly format: number;
  readonly chunks: number;
  readonly hash: string;
  readonly chunkHashes: readonly string[];
}

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
  for (const [from, to] of [
    [file, gunzip],
    [gunzip, tar],
  ] as const) {
    from.on('error', (error: Error) => to.destroy(error));
  }
  file.pipe(gunzip).pipe(tar);
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
      const expected = description === undefined ? '_snapshot' : String(next);
      // Check this first: tar-stream never ends the content of a directory whose header gives a size.
      if (name !== expected || type !== 'file') {
        damaged('the archive holds an unexpected entry', {
          path,
          expected,
          found: name,
        });
      }
      if (description === undefined) {
        description = decodeDescription(await readSmall(entry, path), found);
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
    damaged('the archive cannot be read', { path, cause, found: messageOf(cause) });
  } finally {
    file.destroy();
    gunzip.destroy();
    tar.destroy();
  }
  if (next !== description?.chunks) {
    damaged('the archive lacks chunks', {
      path,
      expected: description?.chunks,
      found: next,
    });
  }
  refuseOther(path, description.hash, whole.digest('hex'));
  return description.hash;
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

function decodeDescription(bytes: Buffer, { path, height, format }: FoundStateSync): Description {
  const where = `${path}: _snapshot`;
  const reader = new ProtoReader(bytes, where);
  const description = { height: 0, format: 0, chunks: 0, hash: '', chunkHashes: [] as string[] };
  while (!reader.isAtEnd) {
    const field = reader.field({ 1: 0, 2: 0, 3: 0, 4: 2, 5: 2 });
    if (field === 1) description.height = reader.nonZero();
    else if (field === 2) description.format = reader.nonZero();
    else if (field === 3) description.chunks = reader.nonZero();
    else if (field === 4) description.hash = Buffer.from(reader.lengthDelimited()).toString('hex');
    else description.chunkHashes = decodeHashes(reader.lengthDelimited(), where);
  }
  if (description.height !== height || description.format !== format) {
    damaged('the archive does not hold the snapshot that it is named after', {
      path,
      expected: `${height}-${format}`,
      found: `${description.height}-${description.format}`,
      hint: 'rename it if only the name is wrong; otherwise get it again',
    });
  }
  if (description.chunks !== description.chunkHashes.length) {
    damaged('the number of chunks in the archive differs from its number of hashes', {
      path,
      expected: description.chunks,
      found: description.chunkHashes.length,
    });
  }
  return description;
}

/** Decodes `Metadata`, whose only field repeats once per chunk. */
function decodeHashes(bytes: Buffer, where: string): string[] {
  const hashes: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const reader = new ProtoReader(bytes, where, at);
    reader.field({ 1: 2 });
    hashes.push(Buffer.from(reader.lengthDelimited()).toString('hex'));
    at = reader.at;
  }
  return hashes;
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
