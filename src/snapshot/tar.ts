/**
 * The tar inside a chunk, by tar-stream. Given entries have exactly one tar, and a reader accepts no other. So a tar
 * cannot hide what one program unpacks and another does not see, and equal entries make equal bytes.
 *
 * Format: POSIX.1-2001 (`ustar`, with a PAX `path` record where a name does not fit the header), as tar-stream writes
 * it; `docs/snapshot-format.md` describes it.
 */
import { extract, pack, type Pack } from 'tar-stream';
import { VerificationError } from '../errors.ts';
import { joined } from '../io/bytes/pieces.ts';
import { damaged } from './layout.ts';

export interface TarEntry {
  readonly name: string;
  readonly data: Uint8Array;
}

const BLOCK_BYTES = 512;
const END_BYTES = 2 * BLOCK_BYTES;
/** `<length> path=` and newline of a PAX record; the length has at most 4 digits for names of 1024 UTF-16 units. */
const MAX_RECORD_REST_BYTES = 16;

/**
 * Packs entries into a tar.
 * @param space holds the tar, if given: `maxTarBytes` of the entries are enough
 */
export async function packTar(
  entries: readonly TarEntry[],
  space: Uint8Array = new Uint8Array(maxTarBytes(entries.map(sized))),
): Promise<Buffer> {
  let length = 0;
  for (const piece of await collect(tarOf(entries))) {
    space.set(piece, length);
    length += piece.length;
  }
  return Buffer.from(space.buffer, space.byteOffset, length);
}

function sized({ name, data }: TarEntry): { name: string; size: number } {
  return { name, size: data.length };
}

/**
 * Most bytes of a tar of entries with these names and sizes. Counts a PAX header for each name, though only long and
 * unusual names have one.
 */
export function maxTarBytes(
  entries: readonly { readonly name: string; readonly size: number }[],
): number {
  return entries.reduce((sum, { name, size }) => {
    const record = Buffer.byteLength(name) + MAX_RECORD_REST_BYTES;
    return sum + 3 * BLOCK_BYTES + padded(record) + padded(size);
  }, END_BYTES);
}

/**
 * The contents of a tar's entries, as views of it. The tar must be the one tar of exactly these entries.
 * @param tar hostile
 * @param path names the chunk in errors
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is not
 */
export async function unpackTar(
  tar: Uint8Array,
  entries: readonly { readonly name: string; readonly size: number }[],
  path: string,
): Promise<Uint8Array[]> {
  const found: TarEntry[] = [];
  const reader = extract();
  reader.end(tar);
  try {
    for await (const entry of reader) {
      const { name, size, type } = entry.header;
      const listed = entries[found.length];
      // Before reading the content: in tar-stream, the content of a directory that declares a size never ends.
      if (name !== listed?.name || size !== listed.size || type !== 'file') {
        damaged('a chunk holds an entry that differs from the list of entries', {
          path,
          expected: listed && `file ${JSON.stringify(listed.name)}, ${listed.size} bytes`,
          found: `${type} ${JSON.stringify(name)}, ${size} bytes`,
        });
      }
      found.push({ name, data: joined(await collect(entry)) });
    }
  } catch (cause) {
    if (cause instanceof VerificationError) throw cause;
    damaged('a chunk holds a tar that cannot be read', { path, cause });
  }
  if (found.length !== entries.length) {
    damaged('a chunk holds fewer entries than the list of entries says', {
      path,
      expected: entries.length,
      found: found.length,
    });
  }
  // tar-stream ignores extra header fields, bytes in the padding, and a missing end.
  if (!isMadeOf(tar, await collect(tarOf(found)))) {
    damaged('a chunk holds something besides its entries', { path });
  }
  return found.map(({ data }) => data);
}

function isMadeOf(whole: Uint8Array, pieces: readonly Uint8Array[]): boolean {
  let at = 0;
  for (const piece of pieces) {
    if (Buffer.compare(whole.subarray(at, at + piece.length), piece) !== 0) return false;
    at += piece.length;
  }
  return at === whole.length;
}

/** Sets every field: by default tar-stream would use the current time. */
function tarOf(entries: readonly TarEntry[]): Pack {
  const tar = pack();
  for (const { name, data } of entries) {
    tar.entry(
      { name, type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), uname: '', gname: '' },
      data,
    );
  }
  tar.finalize();
  return tar;
}

/** All pieces of a tar-stream stream. They are bytes, though its types do not say so. */
async function collect(stream: AsyncIterable<unknown>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece as Uint8Array);
  return pieces;
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}
