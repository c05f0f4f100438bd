/** The tar inside a chunk. */
import { extract, pack } from 'tar-stream';
import { damaged } from './layout.ts';

export interface TarEntry {
  readonly name: string;
  readonly data: Uint8Array;
}

/** Header fields that are the same whoever writes when, so that equal entries make equal bytes. */
const FIXED_HEADER = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'file' } as const;

/** Packs entries into a tar, in memory. */
export async function packTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const stream = pack();
  for (const { name, data } of entries) {
    stream.entry(
      { ...FIXED_HEADER, name, size: data.length },
      Buffer.from(data.buffer, data.byteOffset, data.length),
    );
  }
  stream.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of stream as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}

/**
 * Unpacks a tar of plain files, in memory.
 * @param bytes hostile, of bounded size
 * @param path names the chunk in errors
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` for anything but a whole tar of plain files
 */
export async function unpackTar(bytes: Uint8Array, path: string): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  const stream = extract();
  stream.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  try {
    for await (const entry of stream) {
      const { name, type } = entry.header;
      if (type !== 'file')
        damaged('a chunk holds something that is no file', { path, found: name });
      const pieces: Buffer[] = [];
      for await (const piece of entry as AsyncIterable<Buffer>) pieces.push(piece);
      const [only] = pieces;
      entries.push({ name, data: pieces.length === 1 && only ? only : Buffer.concat(pieces) });
    }
  } catch (cause) {
    if (cause instanceof Error && 'exitCode' in cause) throw cause;
    damaged('a chunk is no tar', {
      path,
      found: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
  return entries;
}
