/** Reads the byte codes in a directory as artifacts to send. */
import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { NotFoundError, VerificationError } from '../../errors.ts';
import { DigestTap } from '../../io/bytes/digest.ts';
import type { StateContext } from '../../snapshot/module-contract.ts';
import type { SentArtifact } from '../kit/sent-artifacts.ts';
import { isChecksum, refuseOtherChecksum, wasmEntryName, wasmIdentity } from './layout.ts';

const READ_PIECE_BYTES = 1024 * 1024;

/**
 * The checksums of the byte codes in `dir`. Skips other names, with a note.
 * @throws {NotFoundError} `WASM_MISSING`
 */
export async function checksumsIn(
  dir: string,
  { progress }: Pick<StateContext, 'progress'>,
): Promise<string[]> {
  const names = await readdir(dir).catch((cause: unknown) => {
    throw new NotFoundError('WASM_MISSING', 'the directory of byte code cannot be read', {
      path: dir,
      expected: 'files that are named after their SHA-256',
      found: (cause as NodeJS.ErrnoException).code,
      cause,
    });
  });
  const checksums = names.filter(isChecksum).sort();
  const left = names.length - checksums.length;
  if (left > 0) progress.note(`skipped ${left} names in ${dir} that are not checksums`);
  return checksums;
}

/** The byte codes with these checksums; each is read only if the receiver lacks it. */
export async function* byteCodes(
  module: string,
  dir: string,
  checksums: readonly string[],
): AsyncGenerator<SentArtifact> {
  for (const checksum of checksums) {
    const path = join(dir, checksum);
    yield {
      name: checksum,
      entryName: wasmEntryName(module, checksum),
      size: await sizeOf(path),
      sha256: checksum,
      identityOf: wasmIdentity,
      read: () => readByteCode(path, checksum),
    };
  }
}

/** Bytes of the byte codes with these checksums. */
export async function sizeOfByteCodes(dir: string, checksums: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const checksum of checksums) bytes += await sizeOf(join(dir, checksum));
  return bytes;
}

async function sizeOf(path: string): Promise<number> {
  const found = await lstat(path);
  refuseNoFile(path, found);
  return found.size;
}

function refuseNoFile(path: string, found: Stats): void {
  if (found.isFile()) return;
  throw new VerificationError('NOT_A_FILE', 'a byte code is not a regular file', { path });
}

/** @throws {VerificationError} `WASM_CHECKSUM` */
export async function* readByteCode(path: string, checksum: string): AsyncGenerator<Uint8Array> {
  // Opening a pipe would block until it has a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  const tap = new DigestTap();
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      // A new buffer for each piece, since the caller may keep it.
      const piece = Buffer.allocUnsafeSlow(READ_PIECE_BYTES);
      const { bytesRead } = await file.read(piece, 0, READ_PIECE_BYTES);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  }
  try {
    refuseNoFile(path, await file.stat());
    yield* tap.through(pieces());
  } finally {
    await file.close();
  }
  refuseOtherChecksum(path, checksum, tap.finish().sha256);
}

/** Whether `dir` holds a byte code. @throws {VerificationError} `WASM_CHECKSUM` if the content of its file differs */
export async function hasByteCode(dir: string, checksum: string): Promise<boolean> {
  try {
    for await (const _ of readByteCode(join(dir, checksum), checksum));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
