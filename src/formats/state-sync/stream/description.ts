/**
 * `Snapshot`, the message that describes a snapshot in an archive, and in the `metadata.db` of a node.
 * Source: cosmos-sdk `snapshots/types/snapshot.pb.go`.
 */
import { damaged } from '../layout.ts';
import { ProtoReader } from './proto.ts';

/** The first entry of an archive. */
export const DESCRIPTION_FILE = '_snapshot';

const FIELDS = { 1: 0, 2: 0, 3: 0, 4: 2, 5: 2 } as const;

export interface Description {
  readonly height: number;
  readonly format: number;
  readonly chunks: number;
  readonly hash: string;
  readonly chunkHashes: readonly string[];
}

/**
 * Reads height and format, the first fields.
 * @param bytes the beginning of a description
 * @param path of the archive
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export function peekDescription(
  bytes: Buffer,
  path: string,
): Pick<Description, 'height' | 'format'> {
  const reader = new ProtoReader(bytes, `${path}: ${DESCRIPTION_FILE}`);
  const description = { height: 0, format: 0 };
  while (!reader.isAtEnd) {
    const field = reader.field(FIELDS);
    if (field === 1) description.height = reader.nonZero();
    else if (field === 2) description.format = reader.nonZero();
    else break;
  }
  return description;
}

/**
 * @param where names the description in errors
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export function decodeDescription(bytes: Buffer, where: string): Description {
  const reader = new ProtoReader(bytes, where);
  const description = { height: 0, format: 0, chunks: 0, hash: '', chunkHashes: [] as string[] };
  while (!reader.isAtEnd) {
    const field = reader.field(FIELDS);
    if (field === 1) description.height = reader.nonZero();
    else if (field === 2) description.format = reader.nonZero();
    else if (field === 3) description.chunks = reader.nonZero();
    else if (field === 4) description.hash = Buffer.from(reader.lengthDelimited()).toString('hex');
    else description.chunkHashes = decodeHashes(reader.lengthDelimited(), where);
  }
  if (description.chunks !== description.chunkHashes.length) {
    damaged('the number of chunks of a snapshot differs from its number of hashes', {
      path: where,
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
