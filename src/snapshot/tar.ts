/**
 * The tar inside a chunk, by tar-stream. Given entries have exactly one tar, and a reader accepts no other. So a tar
 * cannot hide what one program unpacks and another does not see, and equal entries make equal bytes.
 *
 * Format: POSIX.1-2001 (`ustar`, with a PAX `path` record where a name does not fit the header), as tar-stream writes
 * it; `docs/snapshot-format.md` describes it.
 */
import { once } from 'node:events';
import { pack, type Pack } from 'tar-stream';
import { damaged } from './layout.ts';

export interface TarEntry {
  readonly name: string;
  readonly data: Uint8Array;
}

/** Name and size in bytes of an entry. */
export interface NameAndSize {
  readonly name: string;
  readonly size: number;
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

function sized({ name, data }: TarEntry): NameAndSize {
  return { name, size: data.length };
}

/**
 * Most bytes of a tar of entries with these names and sizes. Counts a PAX header for each name, though only long and
 * unusual names have one.
 */
export function maxTarBytes(entries: readonly NameAndSize[]): number {
  return entries.reduce((sum, { name, size }) => {
    const record = Buffer.byteLength(name) + MAX_RECORD_REST_BYTES;
    return sum + 3 * BLOCK_BYTES + padded(record) + padded(size);
  }, END_BYTES);
}

/**
 * The pieces of the tar of entries, which are packed as they come.
 * @param contents in the order of the entries
 */
export async function* tarPieces(entries: AsyncIterable<TarEntry>): AsyncGenerator<Uint8Array> {
  for await (const { name, data } of entries) {
    yield await headerOf(name, data.length);
    if (data.length > 0) yield data;
    yield zeros(padded(data.length) - data.length);
  }
  yield zeros(END_BYTES);
}

/** Bytes of the tar of these entries. */
export async function tarBytes(entries: readonly NameAndSize[]): Promise<number> {
  let bytes = END_BYTES;
  for (const { name, size } of entries) bytes += (await headerOf(name, size)).length + padded(size);
  return bytes;
}

/**
 * The contents of a tar's entries, one after the other, each in a buffer of its own. The tar must be the one tar of
 * exactly these entries: extra header fields, bytes in the padding and a missing end are refused.
 * @param tar hostile; cut anywhere
 * @param wanted says of an entry whether its content is yielded
 * @param path names the chunk in errors
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is not; what was yielded before may be wrong
 */
export async function* contentsOfTar(
  tar: AsyncGenerator<Uint8Array>,
  entries: readonly NameAndSize[],
  wanted: (at: number) => boolean,
  path: string,
): AsyncGenerator<Uint8Array> {
  const pieces = new PieceReader(tar);
  for (const [at, { name, size }] of entries.entries()) {
    const expected = await headerOf(name, size);
    if (!(await pieces.matches(expected))) {
      damaged('a chunk holds an entry that differs from the list of entries', {
        path,
        expected: `the header of file ${JSON.stringify(name)}, ${size} bytes`,
        found: pieces.isAtEnd ? 'the end of the chunk' : 'another',
      });
    }
    const content = new Uint8Array(wanted(at) ? size : 0);
    const read = await pieces.read(size, wanted(at) ? content : undefined);
    if (!read || !(await pieces.matches(zeros(padded(size) - size)))) besides(path);
    if (wanted(at)) yield content;
  }
  if (!(await pieces.matches(zeros(END_BYTES))) || !(await pieces.isOver())) besides(path);
}

function besides(path: string): never {
  return damaged('a chunk holds something besides its entries', { path });
}

/** Reads a stream of pieces by number of bytes. */
class PieceReader {
  readonly #pieces: AsyncGenerator<Uint8Array>;
  #piece: Uint8Array = zeros(0);
  isAtEnd = false;

  constructor(pieces: AsyncGenerator<Uint8Array>) {
    this.#pieces = pieces;
  }

  /** Whether there is no byte left. */
  async isOver(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const next = await this.#pieces.next();
      if (next.done === true) {
        this.isAtEnd = true;
        return true;
      }
      this.#piece = next.value;
    }
    return false;
  }

  /** Takes bytes, and says whether there were so many. */
  async read(bytes: number, into?: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes;) {
      if (await this.isOver()) return false;
      const part = this.#piece.subarray(0, bytes - at);
      into?.set(part, at);
      at += part.length;
      this.#piece = this.#piece.subarray(part.length);
    }
    return true;
  }

  /** Takes bytes, and says whether they are these. */
  async matches(expected: Uint8Array): Promise<boolean> {
    for (let at = 0; at < expected.length;) {
      if (await this.isOver()) return false;
      const part = this.#piece.subarray(0, expected.length - at);
      if (Buffer.compare(part, expected.subarray(at, at + part.length)) !== 0) return false;
      at += part.length;
      this.#piece = this.#piece.subarray(part.length);
    }
    return true;
  }
}

/** What stands before the content of an entry: its header, and a PAX header if its name needs one. */
async function headerOf(name: string, size: number): Promise<Buffer> {
  const tar = pack();
  tar.entry({ ...FIELDS, name, size });
  await once(tar, 'readable');
  const pieces: Uint8Array[] = [];
  for (let piece = read(tar); piece !== null; piece = read(tar)) pieces.push(piece);
  tar.destroy();
  return Buffer.concat(pieces);
}

/** tar-stream gives bytes, though its types do not say so. */
function read(tar: Pack): Uint8Array | null {
  return tar.read() as Uint8Array | null;
}

const ZEROS = new Uint8Array(END_BYTES);

function zeros(bytes: number): Uint8Array {
  return ZEROS.subarray(0, bytes);
}

/** Every field: by default tar-stream would use the current time. */
const FIELDS = {
  name: '',
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: new Date(0),
  uname: '',
  gname: '',
} as const;

function tarOf(entries: readonly TarEntry[]): Pack {
  const tar = pack();
  for (const { name, data } of entries) tar.entry({ ...FIELDS, name }, data);
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
