/** Gzipped heap snapshots, as a SwingStore keeps them. */
import { createGunzip, gunzipSync, gzipSync } from 'node:zlib';
import { VerificationError } from '../../errors.ts';
import { workerTask } from '../../io/threads/task.ts';
import { WHOLE_MAX_BYTES, type WholeContent } from '../../swing-store-export/swing-store-export.ts';

/**
 * zlib level of heap snapshots in a new store. Level 1 is about three times as fast as zlib's default of 6 and takes
 * about a tenth more space, until the node writes the next heap snapshot of that vat.
 */
export const DEFAULT_GZIP_LEVEL = 1;

/** zlib's largest tables: 5 to 15 % faster at level 1 than the default of 8. */
const GZIP_MEM_LEVEL = 9;

/** The default of 16 KiB is half as fast. */
const PIECE_BYTES = 1024 * 1024;

export interface NamedBlob {
  /** Name of the artifact, for errors. */
  readonly name: string;
  readonly blob: Uint8Array;
  /** Bytes of its content, as its row says. The content is made without a copy if that is right. */
  readonly size?: number | undefined;
}

/**
 * The content of a blob of any size.
 * @throws {VerificationError} `DAMAGED_BLOB`
 */
export async function* unpackPieces({ name, blob }: NamedBlob): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  gunzip.end(blob);
  try {
    yield* gunzip as AsyncIterable<Buffer>;
  } catch (cause) {
    throw damagedBlob(name, cause);
  }
}

/**
 * The content of a blob, as a worker task.
 * @returns undefined if the content exceeds {@link WHOLE_MAX_BYTES}
 * @throws {VerificationError} `DAMAGED_BLOB`
 */
export function unpackWhole({ name, blob, size = 0 }: NamedBlob): WholeContent | undefined {
  // One byte more: zlib asks for more room when a piece is full, even at the end.
  const chunkSize = size > PIECE_BYTES && size <= WHOLE_MAX_BYTES ? size + 1 : PIECE_BYTES;
  try {
    return { bytes: gunzipSync(blob, { chunkSize, maxOutputLength: WHOLE_MAX_BYTES }) };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw damagedBlob(name, cause);
  }
}

export const unpacking = workerTask(import.meta.url, unpackWhole);

/** Gzips the content of a heap snapshot. */
export function packWhole({ bytes, level }: { bytes: Uint8Array; level: number }): Uint8Array {
  return gzipSync(bytes, { level, memLevel: GZIP_MEM_LEVEL, chunkSize: PIECE_BYTES });
}

function damagedBlob(name: string, cause: unknown): VerificationError {
  return new VerificationError('DAMAGED_BLOB', 'a heap snapshot in the SwingStore is damaged', {
    path: name,
    found: cause instanceof Error ? cause.message : String(cause),
    cause,
  });
}
